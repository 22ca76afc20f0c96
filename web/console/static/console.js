// What the console does in the browser beside htmx: times in the reader's zone, dialogs, choosing rows, copying, messages.
'use strict';
(() => {
  const root = document.documentElement;
  root.classList.add('js');
  const lang = root.lang;
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => within.querySelectorAll(selector);

  // Times: the server writes UTC and an age; here they become the reader's zone, and ages stay true.
  const full = new Intl.DateTimeFormat(lang, {dateStyle: 'medium', timeStyle: 'medium'});
  const exact = new Intl.DateTimeFormat(lang, {dateStyle: 'full', timeStyle: 'long'});
  const relative = new Intl.RelativeTimeFormat(lang, {numeric: 'always', style: 'short'});
  const steps = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];
  function age(at) {
    const seconds = Math.trunc((at - Date.now()) / 1000);
    const [unit, size] = steps.find(([, size]) => Math.abs(seconds) >= size) ?? steps[3];
    return relative.format(Math.trunc(seconds / size) || -0, unit);
  }
  function times(within) {
    for (const el of $$('time[data-time]', within)) {
      const at = new Date(el.dateTime);
      const text = el.dataset.time === 'ago' ? age(at) : full.format(at);
      if (el.textContent !== text) el.textContent = text;
      if (!el.dataset.told) { el.title = exact.format(at); el.dataset.told = ''; }
    }
  }
  setInterval(() => times(document), 15000);

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
      $(':scope > [id$="-content"]', dialog).replaceChildren();
      document.body.append(toasts());
    });
    dialog.addEventListener('pointerdown', event => {
      if (event.target === dialog) dialog.close();
    });
  }
  function revealed(target) {
    const dialog = target.closest?.('dialog');
    if (!dialog || !target.id.endsWith('-content') || !target.hasChildNodes()) return;
    if (!dialog.open) dialog.showModal();
    place();
    const wrong = $('[aria-invalid="true"]', dialog);
    (wrong ?? $('[autofocus]', dialog))?.focus();
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

  function prepare(within) {
    times(within);
    chosen();
    for (const toast of $$('[data-toast]', within)) if (!toast.dataset.fading) { toast.dataset.fading = ''; fade(toast); }
    for (const el of $$('[data-indeterminate]', within)) el.indeterminate = true;
  }

  document.addEventListener('click', event => {
    const el = event.target.closest?.('[data-dismiss],[data-close],[data-copy],[data-all],[data-toggle],[data-add],[data-remove],[data-fill]');
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
    // A suggestion that is taken goes into its field, as if typed.
    if ('fill' in el.dataset) {
      const field = $(el.dataset.fill);
      field.value = el.dataset.value ?? el.textContent.trim();
      field.dispatchEvent(new Event('input', {bubbles: true}));
      field.focus();
    }
  });
  document.addEventListener('change', event => {
    if (event.target.matches?.('tbody input[type=checkbox][name=id]')) chosen();
  });

  // htmx. Every request carries the session's token; the bar shows that something is under way.
  const token = $('meta[name=csrf]')?.content;
  let under = 0;
  const progress = by => { under = Math.max(0, under + by); $('#progress')?.classList.toggle('on', under > 0); };
  document.addEventListener('htmx:config:request', event => {
    if (token) event.detail.ctx.request.headers['X-Csrf-Token'] = token;
  });
  document.addEventListener('htmx:before:request', () => progress(1));
  document.addEventListener('htmx:finally:request', () => progress(-1));
  document.addEventListener('htmx:error', event => {
    const error = event.detail?.error ?? event.detail?.ctx?.error;
    if (error?.name !== 'AbortError') say(document.body.dataset.unreachable, 'bad');
  });
  document.addEventListener('htmx:after:swap', event => {
    prepare(document);
    const target = event.detail?.ctx?.target ?? event.target;
    if (target instanceof Element) revealed(target);
  });

  prepare(document);
})();
