// The tree of triggers: a tree as WAI-ARIA describes it. One item is reached by Tab, the others by arrows; a branch is fetched when it opens.
'use strict';
(() => {
  const tree = () => document.querySelector('[data-tree]');
  const items = () => [...tree().querySelectorAll('[role=treeitem]')].filter(item => item.checkVisibility());
  const groupOf = item => document.getElementById(item.getAttribute('aria-owns') ?? '');
  const parentOf = item => item.closest('[role=group]')?.previousElementSibling;

  // Exactly one item can be reached by Tab.
  function rove(to) {
    for (const item of tree()?.querySelectorAll('[role=treeitem][tabindex="0"]') ?? []) if (item !== to) item.tabIndex = -1;
    if (to) to.tabIndex = 0;
  }
  function focus(item) {
    if (!item) return;
    rove(item);
    item.focus();
    item.scrollIntoView({block: 'nearest'});
  }
  async function open(item) {
    const group = groupOf(item);
    if (!group) return;
    group.hidden = false;
    item.ariaExpanded = 'true';
    if (!group.hasChildNodes()) await htmx.ajax('GET', item.dataset.level, {target: group, swap: 'innerHTML'});
  }
  function close(item) {
    const group = groupOf(item);
    if (!group) return;
    group.hidden = true;
    item.ariaExpanded = 'false';
  }
  // The next page takes the place of the item that asked for it; the focus goes to the first of it.
  async function more(item) {
    const place = item.parentElement;
    const before = place.previousElementSibling; // a page is never empty
    await htmx.ajax('GET', item.dataset.more, {target: place, swap: 'outerHTML'});
    focus(before.nextElementSibling.firstElementChild);
  }
  function act(item) {
    if (item.dataset.more) return more(item);
    if (!groupOf(item)) return item.querySelector('a')?.click();
    return item.ariaExpanded === 'true' ? close(item) : open(item);
  }

  document.addEventListener('click', event => {
    const item = event.target.closest?.('[data-tree] [role=treeitem]');
    if (!item || event.ctrlKey || event.metaKey || event.shiftKey) return;
    rove(item);
    item.focus({preventScroll: true});
    if (!groupOf(item) && !item.dataset.more) return; // a webhook's link leads to it
    event.preventDefault();
    act(item);
  });

  let typed = '';
  let forget = 0;
  document.addEventListener('keydown', event => {
    const item = event.target.closest?.('[data-tree] [role=treeitem]');
    if (!item || event.altKey || event.ctrlKey || event.metaKey) return;
    const all = items();
    const at = all.indexOf(item);
    const isOpen = item.ariaExpanded === 'true';
    switch (event.key) {
      case 'ArrowDown': focus(all[at + 1]); break;
      case 'ArrowUp': focus(all[at - 1]); break;
      case 'Home': focus(all[0]); break;
      case 'End': focus(all.at(-1)); break;
      case 'ArrowRight':
        if (isOpen) focus(groupOf(item).firstElementChild?.firstElementChild);
        else open(item);
        break;
      case 'ArrowLeft':
        if (isOpen) close(item);
        else focus(parentOf(item));
        break;
      case 'Enter': case ' ': act(item); break;
      default: {
        if (event.key.length !== 1) return;
        // What is typed leads to the next item that begins so.
        clearTimeout(forget);
        forget = setTimeout(() => { typed = ''; }, 600);
        typed += event.key.toLowerCase();
        const from = typed.length > 1 ? at : at + 1;
        const found = [...all.slice(from), ...all.slice(0, from)].find(other => other.querySelector('.route-name, .name')?.textContent.toLowerCase().startsWith(typed));
        if (found) focus(found);
      }
    }
    event.preventDefault();
  });
  const first = () => { if (tree() && !tree().querySelector('[role=treeitem][tabindex="0"]')) rove(tree().querySelector('[role=treeitem]')); };
  document.addEventListener('htmx:after:swap', first);
  first();
})();
