// The overview: it is fetched again while one looks, and its pictures say what they show.
'use strict';
(() => {
  const lang = document.documentElement.lang;
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => within.querySelectorAll(selector);

  // Axes: the server labels hours and days of UTC; here the labels move to those of the reader's zone, and no more are shown than have room.
  const hour = new Intl.DateTimeFormat(lang, {hour: 'numeric', minute: '2-digit'});
  const day = new Intl.DateTimeFormat(lang, {month: 'short', day: 'numeric'});
  function ticks() {
    for (const axis of $$('.chart-axis')) {
      const labels = [...$$('[data-tick]', axis)];
      const at = labels.map(el => new Date(el.dateTime));
      const hourly = at[1] - at[0] <= 3600e3;
      let wanted = at.map((time, i) => hourly ? time.getHours() % 6 === 0 : i > 0 && at[i - 1].getDate() !== time.getDate());
      const room = Math.max(1, Math.min(7, Math.floor(axis.clientWidth / 56)));
      const every = Math.ceil(wanted.filter(Boolean).length / room);
      let seen = 0;
      wanted = wanted.map(is => is && seen++ % every === 0);
      labels.forEach((el, i) => {
        const text = wanted[i] ? (hourly ? hour : day).format(at[i]) : '';
        if (el.textContent !== text) el.textContent = text;
        el.parentElement.classList.toggle('late', i > labels.length * 0.9);
      });
    }
  }

  addEventListener('resize', ticks);

  // What a picture shows at the pointer is read from the row of the table behind it.
  const tip = document.createElement('div');
  tip.className = 'chart-tip';
  tip.hidden = true;
  document.body.append(tip);
  document.addEventListener('pointermove', event => {
    const plot = event.target.closest?.('.chart-plot');
    tip.hidden = !plot;
    if (!plot) return;
    const box = plot.getBoundingClientRect();
    const chart = plot.closest('.chart');
    const rows = $$('tbody tr', chart);
    const at = Math.min(rows.length - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * rows.length)));
    const heads = [...$$('thead th', chart)].slice(1).map(el => el.textContent);
    const title = document.createElement('strong');
    title.textContent = $('th', rows[at]).textContent;
    const lines = [...$$('td', rows[at])].map((el, i) => {
      const line = document.createElement('span');
      line.textContent = heads[i] + ': ' + el.textContent;
      return line;
    });
    tip.replaceChildren(title, ...lines);
    const left = box.left + (at + 0.5) / rows.length * box.width - tip.offsetWidth / 2;
    tip.style.left = Math.min(Math.max(8, left), innerWidth - tip.offsetWidth - 8) + 'px';
    tip.style.top = Math.max(8, box.top - tip.offsetHeight - 6) + 'px';
  });
  document.addEventListener('scroll', () => { tip.hidden = true; }, {passive: true, capture: true});

  // Fetching again. What was opened stays open.
  const hold = $('[data-refreshing]');
  const board = () => $('[data-refresh]');
  let opened = [];
  function refresh() {
    if (hold.ariaPressed !== 'true' && !document.hidden) htmx.trigger(board(), 'refresh');
  }
  setInterval(refresh, Number(board().dataset.refresh) * 1000);
  document.addEventListener('visibilitychange', refresh);
  hold.addEventListener('click', () => {
    hold.ariaPressed = String(hold.ariaPressed !== 'true');
    refresh();
  });
  document.addEventListener('htmx:before:swap', () => { opened = [...$$('#overview details[open]')].map(el => el.id); });
  document.addEventListener('htmx:after:swap', () => {
    for (const id of opened) { const el = document.getElementById(id); if (el) el.open = true; }
    ticks();
    const told = $('#told time');
    told.dateTime = board().dataset.told;
    delete told.dataset.told;
    $('#stale').hidden = true;
    told.dispatchEvent(new Event('portalhook:times', {bubbles: true}));
  });
  document.addEventListener('htmx:error', event => {
    if (event.detail?.ctx?.sourceElement?.matches?.('[data-refresh]')) $('#stale').hidden = false;
  });
  ticks();
})();
