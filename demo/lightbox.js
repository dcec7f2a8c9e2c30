// Any picture of the page, large: what carries data-look opens it. `element` is the view, `trigger` asks for its facts.
const box = element.closest('#lightbox'), find = name => element.querySelector(name);
const frame = find('.cl-frame'), picture = find('.cl-front'), other = find('.cl-other'), cut = find('.cl-cut');
const place = find('.cl-place'), save = find('[download]'), compare = find('[data-do=compare]');
const MOST = 16;  // times the size at which a picture fits
let items = [], at = 0, pinned = null, opener = '', zoom = {by: 1, x: 0, y: 0};
const pointers = new Map();

box.setAttribute('role', 'dialog');
box.setAttribute('aria-modal', 'true');
box.setAttribute('aria-label', 'Picture');

function move(by, x, y) {  // zoomed to `by`, and moved by x and y pixels
  by = Math.min(MOST, Math.max(1, by));
  zoom = by === 1 ? {by, x: 0, y: 0} : {by, x, y};
  frame.style.transform = `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.by})`;
  frame.classList.toggle('cl-zoomed', by > 1);
}
function zoomAt(factor, x, y) {  // the point of the picture under (x, y) stays there
  const middle = frame.parentElement.getBoundingClientRect();
  const by = Math.min(MOST, Math.max(1, zoom.by * factor)), real = by / zoom.by;
  const fromX = (x ?? middle.x + middle.width / 2) - middle.x - middle.width / 2;
  const fromY = (y ?? middle.y + middle.height / 2) - middle.y - middle.height / 2;
  move(by, fromX - real * (fromX - zoom.x), fromY - real * (fromY - zoom.y));
}

function show(index) {
  at = (index + items.length) % items.length;
  const item = items[at];
  picture.src = item.src;
  picture.alt = item.alt;
  save.href = item.src;
  save.download = item.path.split(/[\\/]/).pop();
  place.textContent = items.length > 1 ? `${at + 1} of ${items.length}` : '';
  for (const button of element.querySelectorAll('[data-do=next], [data-do=previous], [data-do=compare]')) {
    button.hidden = items.length < 2;
  }
  move(1, 0, 0);
  trigger('click', {act: 'look', value: item.path});
}
function pin(item) {  // beside which picture the others are held; null = none
  pinned = item;
  compare.setAttribute('aria-pressed', String(Boolean(item)));
  frame.classList.toggle('cl-comparing', Boolean(item));
  if (item) other.src = item.src;
}
function opened(yes) {  // the page below does not scroll, and its keys rest
  box.toggleAttribute('data-open', yes);
  document.body.toggleAttribute('data-looking', yes);
  document.body.style.overflow = yes ? 'hidden' : '';
}
function open(button) {
  const group = button.closest('[data-looks]') || document.body;
  items = [...group.querySelectorAll('[data-look]')].filter(each => each.offsetParent)
    .map(each => ({path: each.dataset.look, src: each.dataset.src, alt: each.querySelector('img').alt, from: each}));
  opener = button;
  opened(true);
  pin(null);
  show(items.findIndex(item => item.from === button));
  find('[data-do=close]').focus();
}
function close() {
  opened(false);
  // what opened it may have been written anew meanwhile
  const now = opener.isConnected ? opener : document.querySelector(`[data-look="${CSS.escape(opener.dataset.look)}"]`);
  (now || document.querySelector('#prompt textarea'))?.focus();
}
const acts = {
  close, next: () => show(at + 1), previous: () => show(at - 1),
  in: () => zoomAt(1.5), out: () => zoomAt(1 / 1.5), fit: () => move(1, 0, 0),
  compare: () => {
    if (pinned) return pin(null);
    pin(items[at]);
    cut.value = 50;
    frame.style.setProperty('--cut', '50%');
    show(at + 1);
  },
};

picture.addEventListener('load', () => {
  frame.style.setProperty('--aspect', picture.naturalWidth / picture.naturalHeight);
});
document.addEventListener('click', event => {
  const button = event.target.closest('[data-look]');
  if (button) open(button);
});
box.addEventListener('click', event => {
  const act = event.target.closest('[data-do]')?.dataset.do;
  if (act) acts[act]();
  else if (event.target.closest('[data-act=use], [data-act=vary]') || event.target.matches('.cl-view')) close();
});
cut.addEventListener('input', () => frame.style.setProperty('--cut', `${cut.value}%`));

// -- mouse and fingers
frame.parentElement.addEventListener('wheel', event => {
  event.preventDefault();
  zoomAt(Math.exp(-event.deltaY / 500), event.clientX, event.clientY);
}, {passive: false});
frame.addEventListener('dblclick', event => zoomAt(zoom.by > 1 ? 1 / zoom.by : 3, event.clientX, event.clientY));
frame.addEventListener('pointerdown', event => {
  if (event.target === cut) return;
  frame.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
});
frame.addEventListener('pointermove', event => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const [fixed] = [...pointers.values()].filter(each => each.pointerId !== event.pointerId);
  if (fixed) {
    const far = each => Math.hypot(each.clientX - fixed.clientX, each.clientY - fixed.clientY);
    zoomAt(far(event) / Math.max(1, far(before)), (event.clientX + fixed.clientX) / 2, (event.clientY + fixed.clientY) / 2);
  } else {
    move(zoom.by, zoom.x + event.clientX - before.clientX, zoom.y + event.clientY - before.clientY);
  }
  pointers.set(event.pointerId, event);
});
for (const end of ['pointerup', 'pointercancel']) frame.addEventListener(end, event => pointers.delete(event.pointerId));

// -- keyboard: the focus stays inside while it is open
const keys = {
  Escape: 'close', ArrowRight: 'next', ArrowLeft: 'previous', '+': 'in', '=': 'in', '-': 'out', '0': 'fit', c: 'compare',
};
document.addEventListener('keydown', event => {
  if (!box.hasAttribute('data-open') || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Tab') {
    const stops = [...box.querySelectorAll('button, a[href], input')].filter(each => each.offsetParent);
    const to = event.shiftKey ? stops.at(-1) : stops[0], end = event.shiftKey ? stops[0] : stops.at(-1);
    if (document.activeElement === end || !box.contains(document.activeElement)) {
      event.preventDefault();
      to.focus();
    }
    return;
  }
  const act = keys[event.key];
  if (!act || (event.target === cut && event.key.startsWith('Arrow'))) return;
  if (items.length < 2 && ['next', 'previous', 'compare'].includes(act)) return;
  event.preventDefault();
  event.stopPropagation();
  acts[act]();
}, true);
