// Classifies away from the page, which stays smooth.
//
// A classic worker, not a module: LiteRT.js starts with importScripts, which modules lack. Dynamic
// imports work in both.

const parts = import("./hearing.js");
const hearing = parts.then(({ Hearing }) => new Hearing((message) => postMessage(message)));

onmessage = async ({ data: { type, ...rest } }) => {
  try {
    await (await hearing)[type](rest);
  } catch (error) {
    const { messageOf } = await parts;
    postMessage({ type: "error", message: messageOf(error) });
  }
};
