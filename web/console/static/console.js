// What the console does in the browser beside htmx and first.js: dialogs, choosing rows, copying, messages.
'use strict';
(() => {
  const lang = document.documentElement.lang;
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => within.querySelectorAll(selector);

  // Messages. They live in the dialog that is open, since all else is out of reach then.
  const toasts = () => $('#toasts');
  function place() {
    const open = [...$$('dialog[open]')].pop();
    (open ?? document.body).append(toasts());
  }
  function say(text, kind) {
    const toast = document.createElement('div');
    toast.className = 'toast ' + kind;
    toast.role = kind === 'bad' ? 'alert' : 'status';
    toast.dataset.toast = '';
    const words = document.createElement('p');
    words.textContent = text;
    const close = document.createElement('button');
    close.type = 'button';
    close.className = 'quiet';
    close.dataset.dismiss = '';
    close.ariaLabel = document.body.dataset.dismiss;
    close.textContent = '×';
    toast.append(words, close);
    toasts().append(toast);
    fade(toast);
  }
  function fade(toast) {
    if (toast.classList.contains('bad')) return;
    let timer = setTimeout(() => toast.remove(), 8000);
    toast.addEventListener('pointerenter', () => clearTimeout(timer));
    toast.addEventListener('focusin', () => clearTimeout(timer));
  }

  // The pane and the dialog open when something is put into them, and are emptied when they close.
  for (const dialog of $$('dialog')) {
    dialog.addEventListener('close', () => {
      if ($('[data-reload]', dialog)) location.reload();
      $(':scope > [id$="-content"]', dialog).replaceChildren();
      document.body.append(toasts());
    });
    dialog.addEventListener('pointerdown', event => {
      if (event.target === dialog) dialog.close();
    });
  }
  function reveal() {
    for (const dialog of $$('dialog')) {
      if (!dialog.open && $(':scope > [id$="-content"]', dialog).hasChildNodes()) {
        dialog.showModal();
        ($('[autofocus]', dialog) ?? $('input:not([type=hidden]),select,textarea,.primary', dialog))?.focus();
      }
    }
    place();
  }

  // Rows that can be chosen: the bar of what to do with them shows how many there are.
  function chosen() {
    for (const table of $$('[data-chooses]')) {
      const boxes = [...$$('tbody input[type=checkbox][name=id]', table)];
      const count = boxes.filter(box => box.checked).length;
      const all = $('[data-all]', table);
      if (all) {
        all.checked = count > 0 && count === boxes.length;
        all.indeterminate = count > 0 && count < boxes.length;
      }
      for (const bar of $$('[data-chosen]')) {
        bar.hidden = count === 0;
        for (const number of $$('[data-count]', bar)) number.textContent = new Intl.NumberFormat(lang).format(count);
      }
    }
  }

  // Moments that are typed: a field holds UTC as it comes, and is turned to the reader's zone; what is sent stands in a hidden field.
  function moments(within) {
    for (const el of $$('input[type=datetime-local][name]', within)) {
      const sent = document.createElement('input');
      sent.type = 'hidden';
      sent.name = el.name;
      if (el.hasAttribute('form')) sent.setAttribute('form', el.getAttribute('form'));
      el.removeAttribute('name');
      if (el.value) {
        const at = new Date(el.value + 'Z');
        el.value = new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
      }
      const write = () => { sent.value = el.value && new Date(el.value).toISOString(); };
      write();
      el.after(sent);
      el.addEventListener('input', write);
    }
  }

  function prepare(within) {
    document.dispatchEvent(new Event('portalhook:times'));
    moments(within);
    chosen();
    for (const toast of $$('[data-toast]', within)) if (!toast.dataset.fading) { toast.dataset.fading = ''; fade(toast); }
    mark();
  }

  document.addEventListener('click', event => {
    const el = event.target.closest?.('[data-dismiss],[data-close],[data-copy],[data-all],[data-toggle],[data-add],[data-remove],[data-trigger],[data-replace]');
    if (!el) return;
    if ('dismiss' in el.dataset && el !== document.body) el.closest('[data-toast]')?.remove();
    if ('close' in el.dataset) {
      const dialog = el.closest('dialog');
      if (dialog) { event.preventDefault(); dialog.close(); }
    }
    if ('copy' in el.dataset) {
      navigator.clipboard.writeText(el.dataset.copy).then(() => say(document.body.dataset.copied, 'good'), () => {});
    }
    if ('all' in el.dataset) {
      for (const box of $$('tbody input[type=checkbox][name=id]', el.closest('[data-chooses]'))) box.checked = el.checked;
      chosen();
    }
    if ('toggle' in el.dataset) {
      const target = $(el.dataset.toggle);
      const open = target.toggleAttribute('data-open');
      el.ariaExpanded = String(open);
    }
    // A row of a form is made from a template beside the button, and taken away again.
    if ('add' in el.dataset) {
      const rows = $(el.dataset.add);
      rows.append($('template', rows.parentElement).content.cloneNode(true));
      $('input', rows.lastElementChild)?.focus();
    }
    if ('remove' in el.dataset) {
      const row = el.closest(el.dataset.remove);
      const next = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      ($('input', next ?? document.createElement('i')) ?? $('[data-add]'))?.focus();
    }
    // A leaf of the tree of triggers puts its line into the text, or takes it out.
    if ('trigger' in el.dataset) {
      const text = $('[data-triggers]');
      const line = triggerOf(el);
      const lines = linesOf(text);
      write(text, lines.includes(line) ? lines.filter(other => other !== line) : [...lines, line]);
    }
    // A line is exchanged for a better one, or taken out.
    if ('replace' in el.dataset) {
      const text = $('[data-triggers]');
      write(text, linesOf(text).map(line => line === el.dataset.replace ? el.dataset.with : line).filter(Boolean));
      text.focus();
    }
  });

  // The tree of triggers: a leaf is about everything of its kind, or about the one that its branch names.
  const linesOf = text => text.value.split('\n').map(line => line.trim()).filter(Boolean);
  function write(text, lines) {
    text.value = lines.join('\n');
    text.dispatchEvent(new Event('input', {bubbles: true}));
  }
  function triggerOf(leaf) {
    const id = $('[data-id]', leaf.closest('[data-branch]'))?.value.trim();
    return id && leaf.dataset.single ? leaf.dataset.single.replace('*', () => id) : leaf.dataset.any || leaf.dataset.single;
  }
  function mark() {
    const text = $('[data-triggers]');
    if (!text) return;
    text.rows = Math.min(8, Math.max(3, linesOf(text).length + 1));
    const lines = new Set(linesOf(text));
    for (const leaf of $$('[data-trigger]')) {
      const line = triggerOf(leaf);
      leaf.ariaPressed = String(lines.has(line));
      leaf.title = line;
    }
  }
  function find(input) {
    const wanted = input.value.trim().toLowerCase();
    for (const branch of $$('[data-branch]', $(input.dataset.find))) {
      let shown = 0;
      for (const leaf of $$('[data-trigger]', branch)) {
        const match = !wanted || leaf.dataset.words.toLowerCase().includes(wanted);
        leaf.parentElement.hidden = !match;
        shown += match;
      }
      branch.hidden = shown === 0;
      branch.open = wanted !== '' && shown > 0;
    }
  }
  document.addEventListener('input', event => {
    if (event.target.matches?.('[data-find]')) find(event.target);
    if (event.target.matches?.('[data-triggers],[data-id]')) mark();
    if (event.target.matches?.('#f-level')) htmx.trigger('[data-triggers]', 'input');
  });

  // What is open below a row closes again; htmx fetches it when it opens.
  document.addEventListener('click', event => {
    const el = event.target.closest?.('[data-expand]');
    if (!el) return;
    const place = $(el.dataset.expand);
    if (!place.hasChildNodes()) { el.ariaExpanded = 'true'; return; }
    event.preventDefault();
    event.stopImmediatePropagation();
    place.replaceChildren();
    el.ariaExpanded = 'false';
  }, {capture: true});

  document.addEventListener('change', event => {
    if (event.target.matches?.('tbody input[type=checkbox][name=id]')) chosen();
    // A field that stands outside its list's form has it asked again.
    if (event.target.matches?.('[data-submits]')) event.target.form.requestSubmit();
  });

  // htmx. Every request carries the session's token; the bar shows that something is under way.
  const token = $('meta[name=csrf]')?.content;
  let under = 0;
  const progress = by => { under = Math.max(0, under + by); $('#progress')?.classList.toggle('on', under > 0); };
  document.addEventListener('htmx:config:request', event => {
    if (token) event.detail.ctx.request.headers['X-Csrf-Token'] = token;
  });
  // What a page fetches of its own accord shows nothing of it, and says nothing when the server cannot be reached: it asks again.
  const quiet = event => event.detail?.ctx?.sourceElement?.matches?.('[data-refresh], [data-quiet]');
  document.addEventListener('htmx:before:request', event => { if (!quiet(event)) progress(1); });
  document.addEventListener('htmx:finally:request', event => { if (!quiet(event)) progress(-1); });
  document.addEventListener('htmx:error', event => {
    if (quiet(event)) return;
    const error = event.detail?.error ?? event.detail?.ctx?.error;
    if (error?.name !== 'AbortError') say(document.body.dataset.unreachable, 'bad');
  });
  // Who types into a filter while its list is put in place goes on typing.
  let typing = null;
  document.addEventListener('htmx:before:swap', () => {
    const el = document.activeElement;
    typing = el?.matches('input.filter') ? {id: el.id, value: el.value, at: el.selectionStart} : null;
  });
  document.addEventListener('htmx:after:swap', event => {
    const el = typing && document.getElementById(typing.id);
    if (el) {
      if (el !== document.activeElement) el.focus();
      if (el.value !== typing.value) { el.value = typing.value; el.setSelectionRange(typing.at, typing.at); }
      typing = null;
    }
    prepare(document);
    reveal();
    // What was sent and refused: on to the first thing that is wrong.
    if (event.detail?.ctx?.request?.method === 'POST') $('[aria-invalid="true"]', $('dialog[open]') ?? document)?.focus();
  });

  prepare(document);
  // In a narrow window the navigation is a strip: where one is stays in sight.
  const side = $('.side');
  const now = side && $('[aria-current]', side);
  if (now) side.scrollLeft = now.offsetLeft - (side.clientWidth - now.offsetWidth) / 2;
})();
