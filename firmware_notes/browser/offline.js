// Service worker: what has been loaded once is there without a network.
//
// The network comes first, so that a new version of the page is seen at once; all that it gives is
// kept. An engine and a model are kept when they are used for the first time.

const CACHE = "edge-genre";
const PAGE = [
  ...["./", "style.css", "icon.svg", "page.js", "view.js", "timeline.js", "heard.js"],
  ...["playing.js", "results.js", "audio.js", "sample_rate.js", "recorder.js", "errors.js"],
  ...["offline_kept.js", "container.js", "worker.js", "hearing.js", "model.js", "engines.js"],
  ...["self_test.js", "task.js", "resample.js", "windows.js"],
];

addEventListener("install", (event) => {
  skipWaiting();
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(PAGE)));
});

addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(registration.scope)) {
    event.respondWith(networkFirst(event));
  }
});

async function networkFirst(event) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(event.request);
    if (response.ok) event.waitUntil(cache.put(event.request, response.clone()));
    return response;
  } catch (error) {
    const kept = await cache.match(event.request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
