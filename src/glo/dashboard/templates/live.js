"use strict";
// Follows what the page shows: when the server tells of a new version, fetch the page, and replace the sections that changed.
(() => {
  const body = document.body, state = document.querySelector("#live");
  const sections = (page) => [...page.querySelector("#main").children];
  const name = (section) => section.id || section.getAttribute("aria-labelledby") || section.tagName;
  const texts = (page) => new Map(sections(page).map((section) => [name(section), section.outerHTML]));
  let served = texts(document);  // as the server sent them: this script runs before the others change anything
  let wanted = body.dataset.version, busy = false, source = null;

  const said = (details) => details.querySelector("summary").textContent;
  const keepState = (old, fresh) => {  // what a reader has opened and ticked stays so
    if (!old) return;
    const open = new Set([...old.querySelectorAll("details[open]")].map(said));
    for (const details of fresh.querySelectorAll("details")) details.open = open.has(said(details));
    for (const box of old.querySelectorAll("input:checked"))
      for (const same of fresh.querySelectorAll("input")) if (same.name === box.name && same.value === box.value) same.checked = true;
  };

  const replace = (html) => {
    const page = new DOMParser().parseFromString(html, "text/html"), fresh = texts(page);
    const old = new Map(sections(document).map((section) => [name(section), section])), focused = document.activeElement;
    document.querySelector("#main").replaceChildren(...sections(page).map((section) => {
      const there = old.get(name(section));
      if (there && (there.hasAttribute("data-keep") || served.get(name(section)) === fresh.get(name(section)))) return there;
      keepState(there, section);
      return section;
    }));
    served = fresh;
    if (focused && focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
    document.title = page.title;
    body.dataset.version = page.body.dataset.version;
    const data = document.querySelector("#data"), given = page.querySelector("#data");
    if (!data !== !given) location.reload();  // another kind of page: a study that has just begun, or is gone
    else if (data) {
      data.textContent = given.textContent;
      window.glo.refresh();
    }
  };

  const update = async () => {
    if (busy || wanted === body.dataset.version) return;
    busy = true;
    try {
      const response = await fetch(location.href, { cache: "no-store" });
      replace(await response.text());
    } catch { /* the connection is lost: the next event, after it is back, asks again */ }
    busy = false;
    if (wanted !== body.dataset.version) setTimeout(update, 500);
  };

  const listen = () => {
    source = new EventSource(body.dataset.events);
    source.onopen = () => { state.textContent = "Live"; };
    source.onmessage = (event) => { wanted = event.data; update(); };
    source.onerror = () => {
      state.textContent = "Connection lost, trying again";
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
    };
  };
  listen();
})();
