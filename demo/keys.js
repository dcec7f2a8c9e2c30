// The keyboard on the page. Runs once, when it has loaded.
() => {
  const shown = id => [document.getElementById(id)].find(element => element?.offsetParent);

  // several buttons, one tab stop: arrow keys go from one to the next, Home and End to the first and last
  function next(items, at, key) {
    const here = items[at].getBoundingClientRect();
    const across = item => Math.abs(item.getBoundingClientRect().left - here.left);
    const below = item => item.getBoundingClientRect().top - here.top;
    const nearest = (sign) => items
      .filter(item => sign * below(item) > 4)
      .sort((a, b) => Math.abs(below(a)) - Math.abs(below(b)) || across(a) - across(b))[0];
    return {
      ArrowRight: items[at + 1], ArrowLeft: items[at - 1], ArrowDown: nearest(1), ArrowUp: nearest(-1),
      Home: items[0], End: items.at(-1),
    }[key];
  }
  document.addEventListener('keydown', event => {
    const group = event.target.closest?.('[data-roving]');
    if (!group || event.ctrlKey || event.metaKey || event.altKey) return;
    const items = [...group.querySelectorAll('[tabindex]')].filter(item => item.offsetParent);
    const at = items.indexOf(event.target), to = at < 0 ? null : next(items, at, event.key);
    if (!to) return;
    event.preventDefault();
    items.forEach(item => { item.tabIndex = item === to ? 0 : -1; });
    to.focus();
  });

  // Ctrl+Enter draws, from anywhere in the Playground; Esc stops the drawing, or closes a menu
  document.addEventListener('keydown', event => {
    const draws = event.key === 'Enter' && (event.ctrlKey || event.metaKey);
    const menu = event.target.closest?.('details.cl-menu[open]');
    if (event.key === 'Escape' && menu) {
      menu.open = false;
      menu.querySelector('summary').focus();
    } else if (draws || event.key === 'Escape') {
      const button = shown(draws ? 'draw' : 'cancel-draw');
      const asked = [...document.querySelectorAll('.cl-dialog')].some(dialog => dialog.getClientRects().length);
      if (!button || asked || document.body.hasAttribute('data-looking')) return;
      event.preventDefault();
      event.stopPropagation();
      button.click();
    }
  }, true);
  document.addEventListener('click', event => {
    for (const menu of document.querySelectorAll('details.cl-menu[open]')) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  // arrow up in the prompt: the prompts drawn before; down: back to what was being written
  let back = -1, draft = '';
  document.addEventListener('keydown', event => {
    const box = event.target;
    if (!box.matches?.('#prompt textarea') || event.isComposing || event.shiftKey) return;
    const step = {ArrowUp: 1, ArrowDown: -1}[event.key];
    if (!step) {
      if (event.key.length === 1 || event.key === 'Enter' || event.key === 'Backspace') back = -1;
      return;
    }
    const edge = step > 0 ? box.selectionStart === 0 : box.selectionEnd === box.value.length;
    const lines = box.scrollHeight / parseFloat(getComputedStyle(box).lineHeight);
    if (!edge && (lines > 3 || box.value.includes('\n'))) return;  // there are lines to go through first
    const prompts = [...document.querySelectorAll('#recent [data-prompt]')].map(button => button.dataset.prompt);
    const to = Math.max(-1, Math.min(prompts.length - 1, back + step));
    if (to === back) return;
    if (back === -1) draft = box.value;
    back = to;
    event.preventDefault();
    box.value = to === -1 ? draft : prompts[to];
    box.dispatchEvent(new Event('input', {bubbles: true}));
  });

  // a picture dropped on what is asked for brings its settings
  const input = () => document.querySelector('#prompt-menus input[type=file]');
  for (const kind of ['dragenter', 'dragover', 'dragleave', 'drop']) {
    document.addEventListener(kind, event => {
      const asked = event.target.closest?.('#play-asked');
      if (!asked || !event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      event.stopPropagation();
      asked.classList.toggle('cl-dropping', kind === 'dragenter' || kind === 'dragover');
      if (kind !== 'drop' || !input()) return;
      const one = new DataTransfer();
      one.items.add(event.dataTransfer.files[0]);
      input().files = one.files;
      input().dispatchEvent(new Event('change', {bubbles: true}));
    }, true);
  }

  // Draw and Cancel take each other's place: so does the focus
  const partner = {draw: 'cancel-draw', 'cancel-draw': 'draw'};
  let last = '';
  document.addEventListener('focusin', event => { last = event.target.id; });
  new MutationObserver(() => {
    if (document.activeElement === document.body && partner[last]) shown(partner[last])?.focus();
  }).observe(document.body, {childList: true, subtree: true, attributes: true, attributeFilter: ['class', 'style']});
}
