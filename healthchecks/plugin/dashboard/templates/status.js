// Descriptions of the bars; search and filter; reload for the newest page.
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const words = {
    o: "ok", s: "slow", f: "failed", e: "error", m: "in maintenance", b: "blocked", k: "skipped",
  };
  const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const two = (number) => String(number).padStart(2, "0");

  function formatTime(seconds) {  // seconds of the server's local clock
    const at = new Date(seconds * 1000);
    const day = `${days[at.getUTCDay()]} ${at.getUTCDate()} ${months[at.getUTCMonth()]}`;
    return `${day} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  }

  function formatDuration(milliseconds) {
    return milliseconds < 1000 ? `${milliseconds} ms` : `${Math.round(milliseconds / 100) / 10} s`;
  }

  const statusesOf = (check) => check.statuses.replace(/(\d+)(.)/g, (_, count, letter) => letter.repeat(count));

  function describe(check, place) {
    const times = check.runs.flatMap(([first, last]) => data.times.slice(first, last + 1));
    const status = statusesOf(check)[place], parts = [formatTime(times[place]), words[status]];
    if (status !== "b" && status !== "k") parts.push(formatDuration(check.durations[place]));
    const notes = check.notes ?? {}, noted = Object.keys(notes).map(Number).filter((each) => each <= place);
    const note = noted.length ? notes[Math.max(...noted)] : "";
    return {text: parts.join(" · "), note};
  }

  // Each row of bars is read by mouse, or like a slider by the arrow keys.
  function makeReadable(strip) {
    const check = data.checks[strip.dataset.card];
    if (!check) return;
    const count = statusesOf(check).length, places = data.bars;
    let mark, tip, at = count - 1;

    function show(place) {
      at = Math.max(0, Math.min(count - 1, place));
      if (!tip) {
        mark = strip.appendChild(Object.assign(document.createElement("div"), {className: "mark"}));
        tip = strip.appendChild(Object.assign(document.createElement("div"), {className: "tip"}));
      }
      const {text, note} = describe(check, at);
      tip.textContent = text;
      if (note) tip.append(" · ", Object.assign(document.createElement("bdi"), {textContent: note}));
      mark.style.left = `${100 * (places - count + at) / places}%`;
      mark.style.width = `${100 / places}%`;
      strip.setAttribute("aria-valuenow", at + 1);
      strip.setAttribute("aria-valuetext", note ? `${text} · ${note}` : text);
    }

    function hide() {
      mark?.remove();
      tip?.remove();
      mark = tip = undefined;
    }

    const svg = strip.querySelector("svg");
    const attributes = {role: "slider", tabindex: 0, "aria-label": svg.getAttribute("aria-label"),
      "aria-valuemin": 1, "aria-valuemax": count};
    for (const [name, value] of Object.entries(attributes)) strip.setAttribute(name, value);
    show(at);
    hide();
    svg.setAttribute("aria-hidden", "true");
    svg.removeAttribute("role");
    svg.removeAttribute("aria-label");
    strip.addEventListener("pointermove", (event) => {
      const box = strip.getBoundingClientRect();
      show(Math.floor(places * (event.clientX - box.left) / box.width) - places + count);
    });
    strip.addEventListener("pointerleave", () => document.activeElement === strip || hide());
    strip.addEventListener("focus", () => show(at));
    strip.addEventListener("blur", hide);
    strip.addEventListener("keydown", (event) => {
      const to = {ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, PageUp: at + 10,
        PageDown: at - 10, Home: 0, End: count - 1}[event.key];
      if (event.key === "Escape") hide();
      if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      show(to);
    });
  }

  const input = document.getElementById("words"), select = document.getElementById("statuses");
  const cards = all(".check").map((card) => ({card, text: `${card.textContent} ${card.dataset.words ?? ""}`.toLowerCase()}));

  function filter() {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean), statuses = select.value.split(" ");
    let found = 0;
    for (const {card, text} of cards) {
      const hasStatus = select.value === "" || statuses.includes(card.dataset.status);
      const fits = hasStatus && wanted.every((word) => text.includes(word));
      card.hidden = !fits;
      found += fits;
    }
    for (const section of all("main section.group")) {
      section.hidden = isFiltered() && !section.querySelector(".check:not([hidden])");
    }
    for (const each of all(".folded")) each.open = isFiltered();
    document.getElementById("found").textContent = isFiltered() ? `${found} of ${cards.length} shown` : "";
  }
  const isFiltered = () => input.value.trim() !== "" || select.value !== "";

  function openTarget() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = target?.matches("tbody, .row") ? target.querySelector("details") : null;
    if (details) details.open = true;
    if (target?.closest("[hidden]")) {
      input.value = select.value = "";
      filter();
    }
  }

  // A page on a wall screen shows the newest run; a page in use is not reloaded.
  function reloadUnlessUsed() {
    const isUsed = document.querySelector("main details[open]") || document.activeElement !== document.body;
    if (!document.hidden && !isUsed && !isFiltered() && !document.body.classList.contains("archived")) location.reload();
  }

  all(".history").forEach(makeReadable);
  input.addEventListener("input", filter);
  select.addEventListener("input", filter);
  document.querySelector(".search").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      input.focus();
    }
  });
  addEventListener("hashchange", openTarget);
  filter();
  openTarget();
  setInterval(reloadUnlessUsed, 60000);
}
