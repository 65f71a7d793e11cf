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

// The stream says what waits now, as JSON: [{path, text}]. What else it says (that it cannot know) leaves the page as it is.
const events = document.body.dataset.events;
const waiting = document.querySelector("[data-waiting]");
const request = document.querySelector("[data-request]")?.dataset.request;

function ours(path) {
  return typeof path === "string" && /^\/c\/[A-Za-z0-9-]+$/.test(path);
}

function showWaiting(logins) {
  const items = logins.filter(({ path }) => ours(path) && path !== request).map(({ path, text }) => {
    const link = document.createElement("a");
    link.href = path;
    link.textContent = text;
    const item = document.createElement("li");
    item.append(link);
    return item;
  });
  waiting.querySelector("ul").replaceChildren(...items);
  waiting.hidden = items.length === 0;
  // What this page shows waits no longer: it says what became of it. Not under a ceremony, whose answer comes by itself.
  const over = request && logins.every(({ path }) => path !== request);
  if (over && !document.querySelector("[aria-busy]")) window.location.reload();
}

if (events && waiting) {
  const stream = new EventSource(events);
  stream.addEventListener("waiting", (event) => showWaiting(JSON.parse(event.data)));
  window.addEventListener("pagehide", () => stream.close());
}
