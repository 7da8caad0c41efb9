// Keeps the page for later without a network: the newest copy where there is one, else the kept one.
const CACHE = "rbnn-deploy";
const PAGE = new URL("./", self.location).href;
self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(CACHE).then((cache) => cache.add(PAGE)));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const address = event.request.url.split(/[?#]/)[0];
  if (address === PAGE || address === `${PAGE}index.html`) {
    event.respondWith(fetchAndKeep(event.request));
  }
});

async function fetchAndKeep(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) {
      await cache.put(PAGE, response.clone());
    }
    return response;
  } catch (error) {
    const kept = await cache.match(PAGE);
    if (kept === undefined) {
      throw error;
    }
    return kept;
  }
}
