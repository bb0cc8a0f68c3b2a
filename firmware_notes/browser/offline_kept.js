/**
 * Let the service worker, offline.js, keep what is loaded from now on.
 *
 * @returns {Promise<boolean>} whether it does; without it, all works but without a network
 */
export async function keptForOffline() {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return false; // http:// to another machine
  const registration = await serviceWorker.register("offline.js");
  // A forced reload passes an active service worker by.
  if (!serviceWorker.controller && registration.active?.state !== "activated") {
    const first = registration.installing ?? registration.waiting ?? registration.active;
    await new Promise((resolve) => {
      serviceWorker.addEventListener("controllerchange", resolve, { once: true });
      first.addEventListener("statechange", () => first.state === "redundant" && resolve());
    });
  }
  return Boolean(serviceWorker.controller);
}
