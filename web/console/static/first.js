// What must be so before anything is seen, lest the page move under the reader's eyes: the mark by which styles know that scripts run, and times in the
// reader's zone. This file is not deferred.
'use strict';
(() => {
  const root = document.documentElement;
  root.classList.add('js');
  const lang = root.lang;

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
  function write(el) {
    const at = new Date(el.dateTime);
    const text = el.dataset.time === 'ago' ? age(at) : full.format(at);
    if (el.textContent !== text) el.textContent = text;
    if (!el.dataset.told) { el.title = exact.format(at); el.dataset.told = ''; }
  }
  const times = within => within.querySelectorAll('time[data-time]').forEach(write);
  // While the page is read, each time is written as it comes; its text may come after it.
  const coming = new MutationObserver(all => {
    for (const {target, addedNodes} of all) {
      if (target.matches('time[data-time]')) write(target);
      for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE) {
        if (node.matches('time[data-time]')) write(node);
        times(node);
      }
    }
  });
  coming.observe(root, {childList: true, subtree: true});
  document.addEventListener('DOMContentLoaded', () => { times(document); coming.disconnect(); });
  setInterval(() => times(document), 15000);
  // What a script has put into the page.
  document.addEventListener('portalhook:times', event => times(event.target.parentElement ?? document));
})();
