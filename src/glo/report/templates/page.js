"use strict";
// A page works without this script; it adds copying, tips, and printing of what is folded.
(() => {
  const find = (selector) => document.querySelector(selector);
  const make = (name, text = "", attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  // --- copy buttons ---
  const showCopyButtons = () => { for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false; };
  document.addEventListener("click", async ({ target: button }) => {
    if (!button.matches("[data-copy]")) return;
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {  // a page that was opened from a file may not write to the clipboard: select the code instead
      getSelection().selectAllChildren(code);
      button.textContent = document.execCommand("copy") ? "Copied" : "Selected: press Ctrl-C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  showCopyButtons();

  // --- tips of the charts' points ---
  const tip = find("#tip");
  document.addEventListener("pointerover", (event) => {
    const text = event.target.dataset?.tip;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const place = event.target.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(place.left, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${place.top > 60 ? place.top - tip.offsetHeight - 8 : place.bottom + 8}px`;
  });

  // --- print everything that is folded ---
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")].map((each) => [each, each.getAttribute("name")]);
    for (const [each] of folded) { each.removeAttribute("name"); each.open = true; }
  });
  addEventListener("afterprint", () => {
    for (const [each, name] of folded) { each.open = false; if (name) each.setAttribute("name", name); }
  });
  window.glo = { find, make, refresh: showCopyButtons };  // for the other scripts
})();
