// A search by parts of words, since mdBook's own finds no Korean: it divides words at everything but Latin letters.
(() => {
  const bar = document.querySelector("#menu-bar .right-buttons, .menu-bar .right-buttons");
  if (!bar) return;
  const korean = document.documentElement.lang === "ko";
  const field = Object.assign(document.createElement("input"), {
    type: "search", className: "walkthrough-search", placeholder: korean ? "검색" : "Search",
  });
  field.setAttribute("aria-label", field.placeholder);
  const found = Object.assign(document.createElement("ul"), { className: "walkthrough-found", hidden: true });
  bar.before(field);
  bar.parentElement.after(found);
  field.addEventListener("keydown", (event) => event.stopPropagation()); // mdBook has keys of its own

  let loading;
  const load = () => (loading ??= new Promise((done) => {
    const script = Object.assign(document.createElement("script"), { src: "text.js", onload: done });
    document.head.append(script);
  }));

  field.addEventListener("input", async () => {
    await load();
    const words = field.value.normalize("NFC").toLowerCase().split(/\s+/).filter(Boolean);
    found.replaceChildren();
    found.hidden = words.length === 0;
    if (!words.length) return;
    const hits = window.walkthroughText
      .map(([page, heading, text]) => ({ page, heading, text, low: text.toLowerCase(), head: heading.toLowerCase() }))
      .filter(({ low }) => words.every((word) => low.includes(word)))
      .sort((one, two) => words.every((word) => two.head.includes(word)) - words.every((word) => one.head.includes(word)))
      .slice(0, 20);
    for (const { page, heading, text, low } of hits) {
      const item = document.createElement("li");
      const at = Math.max(0, low.indexOf(words[0]) - 40);
      item.append(Object.assign(document.createElement("a"), { href: page, textContent: heading }),
        Object.assign(document.createElement("small"), { textContent: `… ${text.slice(at, at + 140)} …` }));
      found.append(item);
    }
    if (!hits.length) found.append(Object.assign(document.createElement("li"), { textContent: korean ? "찾지 못했습니다." : "Nothing found." }));
  });
  found.addEventListener("click", () => { found.hidden = true; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") found.hidden = true; });
})();
