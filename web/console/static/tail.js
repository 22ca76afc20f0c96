// The tail: what happens, as it happens. Entries are kept, and those that fit the filter are shown, the newest on top.
'use strict';
(() => {
  const lang = document.documentElement.lang;
  const tail = document.querySelector('[data-tail]');
  const $ = (selector, within = tail) => within.querySelector(selector);
  const $$ = (selector, within = tail) => within.querySelectorAll(selector);
  const list = $('[data-tail-rows]');
  const news = $('[data-tail-news]');
  const button = $('[data-tail-pause]');
  const filters = $('form');
  const keep = 1000, show = 200;
  const templates = new Map([...$$('template[data-row]')].map(el => [el.dataset.row, el]));
  const number = new Intl.NumberFormat(lang);
  const time = new Intl.DateTimeFormat(lang, {hour: '2-digit', minute: '2-digit', second: '2-digit'});
  const full = new Intl.DateTimeFormat(lang, {dateStyle: 'full', timeStyle: 'long'});
  const milliseconds = new Intl.NumberFormat(lang, {style: 'unit', unit: 'millisecond', maximumFractionDigits: 1});
  const seconds = new Intl.NumberFormat(lang, {style: 'unit', unit: 'second', maximumFractionDigits: 1});
  const skew = Number(tail.dataset.now) - Date.now(); // the server's clock less ours
  const now = () => new Date(Date.now() + skew);

  let entries = [];    // the newest first: what came, and elements that tell what did not
  let fresh = [];      // came since rows were last written, the newest last
  let arrived = 0;     // while paused
  let paused = false;
  let timer = 0;
  let counted = {events: 0, deliveries: 0}; // since the last news

  function fits(entry) {
    if (entry instanceof Element || entry.row === 'overrun') return true;
    const {uri, webhook, outcome} = filters.elements;
    const has = (text, part) => (text ?? '').toLowerCase().includes(part.value.trim().toLowerCase());
    return (!outcome.value || entry.row === outcome.value) && has(entry.uri, uri) && has(entry.webhookName, webhook);
  }
  function rowOf(entry) {
    if (entry instanceof Element) return entry;
    const row = templates.get(entry.row).content.firstElementChild.cloneNode(true);
    const slot = (name, text) => {
      const el = $(`[data-slot="${name}"]`, row);
      el.textContent = el.title = text ?? '';
      return el;
    };
    if (entry.row === 'overrun') {
      row.textContent = row.textContent.replace('{count}', number.format(entry.count));
      return row;
    }
    const {events, webhooks} = tail.dataset;
    const when = new Date(entry.at);
    slot('uri', entry.uri).href = `${events}/${entry.id ?? entry.eventId}`;
    const at = slot('at', time.format(when));
    at.dateTime = entry.at;
    at.title = full.format(when);
    if (entry.row === 'event') {
      slot('user', entry.username);
      slot('matched', number.format(entry.matched));
      return row;
    }
    slot('webhook', entry.webhookName).href = `${webhooks}/${entry.webhookId}`;
    slot('delivery', entry.reason || String(entry.statusCode ?? '–')).href = `${webhooks}/${entry.webhookId}/deliveries/${entry.deliveryId}`;
    if (entry.totalMs !== undefined) slot('took', entry.totalMs < 1000 ? milliseconds.format(entry.totalMs < 10 ? entry.totalMs : Math.round(entry.totalMs)) : seconds.format(entry.totalMs / 1000));
    if (entry.nextAttemptAt) $('[data-slot="due"]', row).dateTime = entry.nextAttemptAt;
    else $('[data-slot="next"]', row).remove();
    return row;
  }
  function write() {
    timer = 0;
    if (paused) return;
    const added = fresh.reverse();
    fresh = [];
    entries = added.concat(entries).slice(0, keep);
    const rows = added.filter(fits).slice(0, show).map(rowOf);
    for (const row of rows) row.classList.add('new');
    list.prepend(...rows);
    while (list.childElementCount > show) list.lastElementChild.remove();
    settle();
  }
  function settle() {
    $('[data-tail-none]').hidden = list.childElementCount > 0;
    list.dispatchEvent(new Event('portalhook:times', {bubbles: true}));
  }
  function take(entry) {
    fresh.push(entry);
    if (fresh.length > keep) fresh.shift();
    if (entry.uri) {
      counted[entry.row === 'event' ? 'events' : 'deliveries']++;
      if (paused) arrived++;
    }
    timer ||= setTimeout(write, 200);
    if (paused) count();
  }
  function count() {
    const el = $('[data-tail-count]');
    el.hidden = arrived === 0;
    el.textContent = '+' + number.format(arrived);
  }

  // What is said aloud comes every ten seconds at most, as a sum.
  setInterval(() => {
    if (counted.events + counted.deliveries === 0) return;
    news.textContent = paused ? news.dataset.held.replace('{count}', number.format(arrived))
      : news.dataset.text.replace('{events}', number.format(counted.events)).replace('{deliveries}', number.format(counted.deliveries));
    counted = {events: 0, deliveries: 0};
  }, 10000);

  let connection = 'connecting';
  function mark() {
    const state = paused && connection === 'live' ? 'paused' : connection;
    for (const el of $$('[data-tail-state] [data-when]')) el.hidden = el.dataset.when !== state;
    for (const el of $$('[data-when]', button)) el.hidden = el.dataset.when !== (paused ? 'held' : 'running');
    button.ariaPressed = String(paused);
  }
  button.addEventListener('click', () => {
    paused = !paused;
    arrived = 0;
    count();
    mark();
    write();
  });
  filters.addEventListener('input', () => {
    list.replaceChildren(...entries.filter(fits).slice(0, show).map(rowOf));
    settle();
  });
  filters.addEventListener('submit', event => event.preventDefault());

  // The stream. After a break it is told how much was missed; while nobody looks for a minute, there is none.
  let source = null;
  let latest = null; // when the stream was last known to be whole
  let since = null;  // the same, once it has broken
  let wait = 1000, again = 0, asleep = 0;
  function listen() {
    clearTimeout(again);
    source?.close();
    const mine = source = new EventSource(tail.dataset.tail);
    mine.addEventListener('open', () => {
      wait = 1000;
      connection = 'live';
      mark();
      latest = now();
      if (since) tellMissed(since, latest);
      since = null;
    });
    mine.addEventListener('error', () => {
      if (mine !== source) return;
      lose();
      // The browser gives up when it is answered with anything but a stream.
      if (mine.readyState === EventSource.CLOSED) again = setTimeout(listen, wait = Math.min(wait * 2, 30000));
    });
    const told = (kind, rowFor) => mine.addEventListener(kind, event => {
      const entry = JSON.parse(event.data);
      if (entry.at) latest = new Date(entry.at);
      const row = rowFor(entry);
      if (row) take({...entry, row});
    });
    told('event', () => 'event');
    told('attempt', entry => templates.has(entry.state) ? entry.state : 'waiting');
    // A delivery that has ended with an attempt has been told of already.
    told('end', entry => ['skipped', 'cancelled'].includes(entry.state) ? entry.state : '');
    told('missed', () => 'overrun');
  }
  function lose() {
    if (connection === 'live') {
      since = latest;
      connection = 'lost';
      news.textContent = news.dataset.lost;
    }
    mark();
  }
  async function tellMissed(from, to) {
    try {
      const answer = await fetch(tail.dataset.missed + '?' + new URLSearchParams({from: from.toISOString(), to: to.toISOString()}), {headers: {'HX-Request': 'true'}});
      if (!answer.ok) return;
      const made = document.createElement('template');
      made.innerHTML = await answer.text();
      const row = made.content.firstElementChild;
      if (row?.matches('.tail-gap')) take(row);
    } catch {
      since = from; // the next connection tells it
    }
  }
  document.addEventListener('visibilitychange', () => {
    clearTimeout(asleep);
    if (document.hidden) {
      asleep = setTimeout(() => {
        lose();
        source?.close();
        source = null;
        clearTimeout(again);
      }, 60000);
    } else if (!source) {
      listen();
    }
  });
  addEventListener('pagehide', () => { source?.close(); source = null; });
  addEventListener('pageshow', event => { if (event.persisted) listen(); });
  mark();
  listen();
})();
