// The drop zone: files, folders and zips, chosen, dropped or pasted. Each goes up by itself, under its place in the folder
// that was dropped; then one 'upload' event says which came, and what was left out.
const zone = element.querySelector('.cl-drop');
const said = element.querySelector('.cl-drop-said');
const kinds = zone.dataset.kinds.split(' ');
const most = Number(zone.dataset.most);
const AT_ONCE = 3;
let busy = false;

const wanted = place => kinds.some(kind => place.toLowerCase().endsWith(kind));
const systems = place => place.split('/').some(part => part.startsWith('.') || part === '__MACOSX' || part === 'Thumbs.db');

async function inside(entry, place) {  // [{file, place}] of a dropped entry, folders opened
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    return [{file, place: place + file.name}];
  }
  const reader = entry.createReader(), found = [];
  for (;;) {  // a reader gives a hundred at a time
    const entries = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!entries.length) return found;
    for (const each of entries) found.push(...await inside(each, place + entry.name + '/'));
  }
}

async function take(given) {
  const found = given.filter(one => !systems(one.place));
  const fit = found.filter(one => wanted(one.place) && one.file.size <= most);
  const left = found.filter(one => !fit.includes(one)).map(one => one.place.split('/').pop());
  if (!found.length || busy) return;
  busy = true;
  zone.classList.add('cl-busy');
  const files = [];
  let next = 0;
  const show = () => { said.textContent = fit.length > 1 ? `Uploading ${files.length + 1} of ${fit.length}` : 'Uploading'; };
  const work = async () => {
    while (next < fit.length) {
      const one = fit[next++];
      try {
        show();
        const {path} = await upload(one.file);
        files.push({path, place: one.place});
      } catch { left.push(one.file.name); }
    }
  };
  await Promise.all(Array.from({length: AT_ONCE}, work));
  busy = false;
  zone.classList.remove('cl-busy');
  said.textContent = '';
  files.sort((one, other) => one.place.localeCompare(other.place));
  trigger('upload', {files, left});
}

const chosen = list => take([...list].map(file => ({file, place: file.webkitRelativePath || file.name})));

element.addEventListener('change', event => {
  if (event.target.type !== 'file') return;
  const list = [...event.target.files];
  event.target.value = '';
  chosen(list);
});
element.addEventListener('click', event => {
  const button = event.target.closest('[data-choose]');
  const input = button || event.target.closest('.cl-drop');
  if (input && event.target.type !== 'file')
    element.querySelector(`input[name=${button ? button.dataset.choose : 'files'}]`).click();
});
for (const name of ['dragenter', 'dragover'])
  zone.addEventListener(name, event => { event.preventDefault(); zone.classList.add('cl-over'); });
zone.addEventListener('dragleave', event => { if (!zone.contains(event.relatedTarget)) zone.classList.remove('cl-over'); });
zone.addEventListener('drop', async event => {
  event.preventDefault();
  zone.classList.remove('cl-over');
  const entries = [...event.dataTransfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [...event.dataTransfer.files];  // read before the first wait: it is emptied then
  if (!entries.length) return chosen(files);
  const found = [];
  for (const entry of entries) found.push(...await inside(entry, ''));
  take(found);
});
document.addEventListener('paste', event => {
  if (!element.offsetParent || !event.clipboardData?.files.length) return;
  event.preventDefault();
  chosen(event.clipboardData.files);
});
