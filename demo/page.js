// What the page does by itself from its first moment: the look, dialogs and their focus, arrows in tabs. keys.js has the other keys.
(() => {
  const seen = element => element.getClientRects().length > 0;
  const REACHED = 'button, [href], input, textarea, select, summary, [tabindex="0"]';
  const reached = inside => [...inside.querySelectorAll(REACHED)].filter(one => !one.disabled && one.tabIndex >= 0 && seen(one));
  const typing = target => target.closest('textarea, select, [contenteditable=true], input:not([type=checkbox], [type=radio], [type=range], [type=button])');
  const dialogs = () => [...document.querySelectorAll('.cl-dialog')].filter(seen);

  // -- dialogs: the focus goes in when one opens, and back when it closes --------------------------
  const cameFrom = new Map();
  let last = null;  // what had the focus before it fell to nothing

  function open(dialog) {
    dialog.setAttribute('role', 'dialog');
    dialog.setAttribute('aria-modal', 'true');
    const title = dialog.querySelector('h2, b');
    if (title) dialog.setAttribute('aria-label', title.textContent.trim());
    cameFrom.set(dialog, last);
    const all = reached(dialog);
    const page = dialog.querySelector('.cl-wide');  // to be read from its top
    const field = all.find(one => one.matches('textarea, input[type=text]')) || page || all.find(one => one.matches('.cl-close'));
    if (field === page && page) page.tabIndex = -1;
    field?.focus();
    field?.select?.();
  }

  function close(dialog) {
    const from = cameFrom.get(dialog);
    cameFrom.delete(dialog);
    if (from?.isConnected && seen(from) && lost()) from.focus();
  }

  const lost = () => !document.activeElement || document.activeElement === document.body;

  // -- a button that vanishes while it has the focus leaves it to the one that takes its place ------
  function pass_on() {
    if (!last || (last.isConnected && seen(last)) || !lost()) return;
    const next = last.row?.isConnected && reached(last.row)[0];
    if (next) next.focus();
  }

  // -- keys ----------------------------------------------------------------------------------------
  document.addEventListener('keydown', event => {
    const dialog = dialogs().at(-1), target = event.target;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape' && dialog) {
      if (target.closest('[aria-expanded=true]')) return;  // an open list closes first
      dialog.querySelector('.cl-close')?.click();
      event.preventDefault();
    } else if (event.key === 'Tab' && dialog) {
      const all = reached(dialog), end = event.shiftKey ? all[0] : all.at(-1);
      if (target !== end && dialog.contains(target)) return;
      (event.shiftKey ? all.at(-1) : all[0])?.focus();
      event.preventDefault();
    } else if (event.key === '?' && !typing(target) && !dialog) {
      document.querySelector('#help-open')?.click();
      event.preventDefault();
    } else if (target.matches('[role=tab]')) {
      const tabs = [...target.closest('[role=tablist]').querySelectorAll('[role=tab]')].filter(seen), place = tabs.indexOf(target);
      const next = {ArrowRight: tabs[place + 1], ArrowLeft: tabs[place - 1], Home: tabs[0], End: tabs.at(-1)}[event.key];
      if (!next) return;
      next.focus();
      next.click();
      event.preventDefault();
    }
  });

  document.addEventListener('focusin', event => {
    last = event.target;
    last.row = last.closest('.cl-actions');
  });

  // -- light or dark, as this browser keeps it ------------------------------------------------------
  const asked = new URLSearchParams(location.search).has('__theme');
  const system = matchMedia('(prefers-color-scheme: dark)');
  function wear() {
    const kept = localStorage.getItem('clora-theme');
    if (!kept || asked || !document.body) return;
    const dark = kept === 'system' ? system.matches : kept === 'dark';
    if (document.body.classList.contains('dark') !== dark) document.body.classList.toggle('dark', dark);
  }
  window.cloraLook = look => { localStorage.setItem('clora-theme', look); wear(); };

  // -- what Gradio draws anew ----------------------------------------------------------------------
  let shown = [], waiting = false;
  function look() {
    waiting = false;
    const now = dialogs();
    for (const dialog of shown) if (!now.includes(dialog)) close(dialog);
    for (const dialog of now) if (!shown.includes(dialog)) open(dialog);
    shown = now;
    pass_on();
    wear();
    // Gradio names its drop zones otherwise than they read, and who speaks to the computer says what stands there
    for (const zone of document.querySelectorAll('.upload-container[aria-label]')) zone.removeAttribute('aria-label');
  }
  new MutationObserver(() => {
    if (!waiting) requestAnimationFrame(look);
    waiting = true;
  }).observe(document.documentElement, {childList: true, subtree: true, attributes: true, attributeFilter: ['class', 'style', 'hidden']});
})();
