// What makes pages handier, and nothing that they need: copying a line, counting down, telling of an ssh login that waits.

const WORDS = {
  copied: "Copied",
  notCopied: "Select it and copy it by hand",
  over: "over",
  left: (long) => `${long} left`,
  hours: (hours, minutes) => `${hours} h ${minutes} min`,
  minutes: (minutes) => `${minutes} min`,
  seconds: (seconds) => `${seconds} s`,
};

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const label = button.firstChild;
    const before = label.textContent;
    try {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      label.textContent = WORDS.copied;
    } catch {
      label.textContent = WORDS.notCopied;
    }
    setTimeout(() => { label.textContent = before; }, 2000);
  });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

const moments = [...document.querySelectorAll("time[data-countdown]")].map((time) => {
  const left = document.createElement("span");
  left.className = "left";
  time.after(" · ", left);
  return { at: Date.parse(time.dateTime), left };
});

function inWords(milliseconds) {
  const seconds = Math.ceil(milliseconds / 1000);
  if (seconds <= 0) return WORDS.over;
  if (seconds < 120) return WORDS.left(WORDS.seconds(seconds));
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return WORDS.left(WORDS.minutes(minutes));
  return WORDS.left(WORDS.hours(Math.floor(minutes / 60), minutes % 60));
}

function countDown() {
  const now = Date.now();
  for (const { at, left } of moments) {
    const text = inWords(at - now);
    if (left.textContent !== text) left.textContent = text;
  }
}

if (moments.length > 0) {
  countDown();
  setInterval(countDown, 1000);
}

// The stream says, as JSON: `waiting`: [{path, text}], all that wait now; `settled`: {path}, one that waits no longer.
const events = document.body.dataset.events;
const waiting = document.querySelector("[data-waiting]");

function ours(path) {
  return typeof path === "string" && /^\/c\/[A-Za-z0-9-]+$/.test(path);
}

function showWaiting(logins) {
  const here = document.querySelector("[data-request]")?.dataset.request;
  const items = logins.filter(({ path }) => ours(path) && path !== here).map(({ path, text }) => {
    const link = document.createElement("a");
    link.href = path;
    link.textContent = text;
    const item = document.createElement("li");
    item.append(link);
    return item;
  });
  waiting.querySelector("ul").replaceChildren(...items);
  waiting.hidden = items.length === 0;
}

if (events && waiting) {
  const stream = new EventSource(events);
  stream.addEventListener("waiting", (event) => showWaiting(JSON.parse(event.data)));
  stream.addEventListener("settled", (event) => {
    const { path } = JSON.parse(event.data);
    const request = document.querySelector("[data-request]");
    // Not under a ceremony: its answer comes by itself.
    if (request?.dataset.request === path && !document.querySelector("[aria-busy]")) window.location.reload();
  });
  window.addEventListener("pagehide", () => stream.close());
}
