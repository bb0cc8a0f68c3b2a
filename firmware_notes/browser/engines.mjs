// Puts the few files that the page needs of its two engines into engines/; npm install runs it.

import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";

const ORT = "node_modules/onnxruntime-web/dist";
const LITERT = "node_modules/@litertjs/core";

rmSync("engines", { recursive: true, force: true });
mkdirSync("engines");
for (const file of [
  `${ORT}/ort.wasm.bundle.min.mjs`,
  `${ORT}/ort-wasm-simd-threaded.wasm`,
  `${LITERT}/wasm/litert_wasm_internal.js`,
  `${LITERT}/wasm/litert_wasm_internal.wasm`,
  // For browsers without relaxed SIMD; a browser fetches one of the two.
  `${LITERT}/wasm/litert_wasm_compat_internal.js`,
  `${LITERT}/wasm/litert_wasm_compat_internal.wasm`,
]) {
  copyFileSync(file, `engines/${basename(file)}`);
}

// Workers have no import maps: the one bare name that LiteRT.js imports becomes a path.
const bare = '"@litertjs/wasm-utils"';
const litert = readFileSync(`${LITERT}/dist/index.js`, "utf8");
if (litert.split(bare).length !== 2) {
  throw new Error(`${LITERT}/dist/index.js: expected one import of ${bare}`);
}
writeFileSync("engines/litert.js", litert.replace(bare, '"./litert_wasm_utils.js"'));
copyFileSync("node_modules/@litertjs/wasm-utils/dist/bundle.js", "engines/litert_wasm_utils.js");
