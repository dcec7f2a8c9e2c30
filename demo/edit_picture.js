// The editor of one picture: a square to be learned, dragged and resized; what does not count, painted over; a caption.
// The dialog comes from Python with the picture in it; what was chosen goes back as one 'submit' event.
const MASK_SIDE = 512;  // pixels of the painted mask, its longer side
let open = null;

watch('value', begin);

function begin() {
  const dialog = element.querySelector('dialog');
  if (!dialog) { open = null; return; }
  const canvas = dialog.querySelector('.cl-edit-stage canvas');
  const picture = dialog.querySelector('img');
  open = {
    dialog, canvas, picture, mode: 'crop', box: JSON.parse(dialog.dataset.box), painted: false, undo: [],
    preview: dialog.querySelector('.cl-edit-preview canvas'),
    smallest: Number(dialog.dataset.smallest),
    caption: dialog.querySelector('textarea'),
    brush: dialog.querySelector('input[type=range]'),
  };
  dialog.showModal();
  picture.decode().then(() => { lay(); return mask(); }).then(draw);
  words();
  const steer = event => ({crop: cropping, mask: painting})[open.mode](event);
  for (const name of ['pointerdown', 'pointermove', 'pointerup', 'pointercancel']) canvas.addEventListener(name, steer);
  canvas.addEventListener('keydown', keys);
  open.caption.addEventListener('input', words);
  dialog.addEventListener('click', pressed);
  dialog.addEventListener('cancel', () => trigger('submit', {act: 'close', value: ''}));
}

function lay() {
  const {canvas, picture} = open;
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  open.cover = document.createElement('canvas');
  const scale = Math.min(1, MASK_SIDE / Math.max(canvas.width, canvas.height));
  open.cover.width = Math.max(1, Math.round(canvas.width * scale));
  open.cover.height = Math.max(1, Math.round(canvas.height * scale));
}

async function mask() {  // of before: its black parts are painted over
  if (!open.dialog.dataset.mask) return;
  const before = new Image();
  before.src = open.dialog.dataset.mask;
  await before.decode();
  const pen = open.cover.getContext('2d', {willReadFrequently: true});
  pen.drawImage(before, 0, 0, open.cover.width, open.cover.height);
  const data = pen.getImageData(0, 0, open.cover.width, open.cover.height);
  for (let at = 0; at < data.data.length; at += 4) {
    data.data[at + 3] = data.data[at] > 127 ? 0 : 255;
    data.data[at] = data.data[at + 1] = data.data[at + 2] = 0;
  }
  pen.putImageData(data, 0, 0);
  open.painted = true;
}

function square() {  // in pixels of the shown picture: what was chosen, or the middle one
  const {width, height} = open.canvas;
  if (open.box) {
    const [left, top, right, bottom] = open.box;
    return {x: left * width, y: top * height, w: (right - left) * width, h: (bottom - top) * height};
  }
  const side = Math.min(width, height);
  return {x: (width - side) / 2, y: (height - side) / 2, w: side, h: side};
}

function choose(x, y, side) {
  const {width, height} = open.canvas;
  const most = Math.min(width, height);
  side = Math.min(most, Math.max(open.smallest * most, side));
  x = Math.min(width - side, Math.max(0, x));
  y = Math.min(height - side, Math.max(0, y));
  const share = (value, whole) => Math.min(1, Math.max(0, value / whole));
  open.box = [share(x, width), share(y, height), share(x + side, width), share(y + side, height)];
  draw();
}

function draw() {
  const {canvas, picture, cover, preview, mode} = open;
  const pen = canvas.getContext('2d'), part = square();
  const unit = canvas.width / canvas.clientWidth || 1;  // one pixel of the screen
  pen.drawImage(picture, 0, 0);
  tint(pen, cover, 0, 0, canvas.width, canvas.height);
  pen.fillStyle = 'rgba(0, 0, 0, .55)';
  pen.beginPath();
  pen.rect(0, 0, canvas.width, canvas.height);
  pen.rect(part.x, part.y, part.w, part.h);
  pen.fill('evenodd');
  pen.lineWidth = 2 * unit;
  pen.strokeStyle = '#fff';
  pen.setLineDash(open.box ? [] : [8 * unit, 6 * unit]);
  pen.strokeRect(part.x, part.y, part.w, part.h);
  pen.setLineDash([]);
  if (mode === 'crop') {
    pen.fillStyle = '#fff';
    for (const [x, y] of corners(part)) pen.fillRect(x - 6 * unit, y - 6 * unit, 12 * unit, 12 * unit);
  }
  const small = preview.getContext('2d');
  small.imageSmoothingQuality = 'high';
  small.drawImage(picture, part.x, part.y, part.w, part.h, 0, 0, preview.width, preview.height);
  const k = cover.width / canvas.width;
  const cut = document.createElement('canvas');
  cut.width = preview.width; cut.height = preview.height;
  cut.getContext('2d').drawImage(cover, part.x * k, part.y * k, part.w * k, part.h * k, 0, 0, cut.width, cut.height);
  tint(small, cut, 0, 0, preview.width, preview.height);
  for (const button of open.dialog.querySelectorAll('[data-edit=reset]')) button.disabled = !open.box;
  for (const button of open.dialog.querySelectorAll('[data-edit=clear]')) button.disabled = !open.painted;
}

function tint(pen, cover, x, y, width, height) {
  pen.globalAlpha = .72;
  const red = document.createElement('canvas');
  red.width = cover.width; red.height = cover.height;
  const ink = red.getContext('2d');
  ink.drawImage(cover, 0, 0);
  ink.globalCompositeOperation = 'source-in';
  ink.fillStyle = '#d0312d';
  ink.fillRect(0, 0, red.width, red.height);
  pen.drawImage(red, x, y, width, height);
  pen.globalAlpha = 1;
}

const corners = part => [[part.x, part.y], [part.x + part.w, part.y], [part.x, part.y + part.h], [part.x + part.w, part.y + part.h]];

function at(event) {
  const {canvas} = open, shown = canvas.getBoundingClientRect();
  return {x: (event.clientX - shown.left) * canvas.width / shown.width,
          y: (event.clientY - shown.top) * canvas.height / shown.height, unit: canvas.width / shown.width};
}

function cropping(event) {
  const place = at(event), part = square();
  if (event.type === 'pointerdown') {
    open.canvas.setPointerCapture(event.pointerId);
    const corner = corners(part).findIndex(([x, y]) => Math.hypot(x - place.x, y - place.y) < 24 * place.unit);
    open.drag = {corner, part, place};
  } else if (event.type === 'pointermove' && open.drag) {
    const {corner, part: from, place: began} = open.drag;
    const dx = place.x - began.x, dy = place.y - began.y;
    if (corner < 0) return choose(from.x + dx, from.y + dy, from.w);
    const right = corner % 2, below = corner > 1;  // the other corner stays
    let side = from.w + Math.max(right ? dx : -dx, below ? dy : -dy);
    const room = Math.min(right ? open.canvas.width - from.x : from.x + from.w, below ? open.canvas.height - from.y : from.y + from.h);
    side = Math.min(room, Math.max(open.smallest * Math.min(open.canvas.width, open.canvas.height), side));
    choose(right ? from.x : from.x + from.w - side, below ? from.y : from.y + from.h - side, side);
  } else if (event.type !== 'pointermove') open.drag = null;
}

function painting(event) {
  const place = at(event), {cover, canvas} = open;
  const k = cover.width / canvas.width;
  if (event.type === 'pointerdown') {
    canvas.setPointerCapture(event.pointerId);
    open.stroke = place;
  } else if (event.type !== 'pointermove' || !open.stroke) { if (event.type !== 'pointermove') open.stroke = null; return; }
  const pen = cover.getContext('2d');
  pen.lineWidth = Number(open.brush.value) / 100 * Math.min(cover.width, cover.height);
  pen.lineCap = pen.lineJoin = 'round';
  pen.strokeStyle = '#000';
  pen.globalCompositeOperation = event.shiftKey || event.buttons === 2 ? 'destination-out' : 'source-over';
  pen.beginPath();
  pen.moveTo(open.stroke.x * k, open.stroke.y * k);
  pen.lineTo(place.x * k, place.y * k);
  pen.stroke();
  pen.globalCompositeOperation = 'source-over';
  open.stroke = place;
  open.painted = true;
  draw();
}

function keys(event) {
  const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
  const grow = {'+': 1, '=': 1, '-': -1}[event.key];
  if (open.mode !== 'crop' || !(step || grow)) return;
  event.preventDefault();
  const part = square(), by = Math.min(open.canvas.width, open.canvas.height) / 50;
  if (step) return choose(part.x + step[0] * by, part.y + step[1] * by, part.w);
  choose(part.x - grow * by / 2, part.y - grow * by / 2, part.w + grow * by);
}

function words() {
  const {template, token} = open.dialog.dataset, said = open.caption.value.trim().replace(/\s+/g, ' ');
  const whole = said.includes('{}') || (token && said.toLowerCase().includes(token.toLowerCase()));
  const prompt = !said ? template : whole ? said : `${template}, ${said}`;
  open.dialog.querySelector('output').textContent = prompt.replaceAll('{}', token || '<token>');
}

function pressed(event) {
  const button = event.target.closest('[data-edit]');
  const {dialog} = open;
  if (!button) return;
  const act = button.dataset.edit;
  if (act === 'crop' || act === 'mask') {
    open.mode = act;
    dialog.dataset.mode = act;
    for (const each of dialog.querySelectorAll('[aria-pressed]')) each.setAttribute('aria-pressed', each === button);
    draw();
  } else if (act === 'reset') { open.box = null; draw(); }
  else if (act === 'clear') { open.cover.getContext('2d').clearRect(0, 0, open.cover.width, open.cover.height); open.painted = false; draw(); }
  else if (act === 'close') { dialog.close(); trigger('submit', {act: 'close', value: ''}); }
  else if (act === 'save') trigger('submit', {act: 'save', value: JSON.stringify({
    place: Number(dialog.dataset.place), of: dialog.dataset.of, box: open.box, caption: open.caption.value, mask: painted()})});
}

function painted() {  // white counts, black does not; '' = all counts
  if (!open.painted) return '';
  const whole = document.createElement('canvas');
  whole.width = open.cover.width; whole.height = open.cover.height;
  const pen = whole.getContext('2d');
  pen.fillStyle = '#fff';
  pen.fillRect(0, 0, whole.width, whole.height);
  pen.drawImage(open.cover, 0, 0);
  return whole.toDataURL('image/png').split(',')[1];
}
