// Makes wsd/uses/lib: the libraries of package.json, bundled as modules, their data, and the licence of each.
//
//   node wsd/uses/bundle/bundle.mjs
//
// Node.js 20 with npm is needed. The packages are installed below build/, since setuptools takes folders here as its own.

import {execFileSync} from "node:child_process";
import {cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";
import {dirname, join, resolve} from "node:path";
import {fileURLToPath} from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const uses = dirname(here);
const work = resolve(uses, "../../build/uses");
const made = join(work, "lib");
const ENTRIES = ["yjs", "codemirror", "world"];
const DATA = {"world-atlas": ["land-110m.json", "countries-110m.json"]};

function install() {
  mkdirSync(work, {recursive: true});
  for (const file of ["package.json", "package-lock.json"]) cpSync(join(uses, file), join(work, file));
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--silent"], {cwd: work, stdio: "inherit"});
}

/** Bundles the entries. Returns the paths of all files that are in the bundles. */
async function bundle() {
  const {build} = createRequire(join(work, "package.json"))("esbuild");
  const sources = join(work, "entries");
  rmSync(made, {recursive: true, force: true});
  cpSync(here, sources, {recursive: true});
  const {metafile} = await build({
    absWorkingDir: work, entryPoints: ENTRIES.map((name) => join(sources, `${name}.js`)), outdir: made, bundle: true,
    splitting: true, format: "esm", target: "es2022", minify: true, legalComments: "none", metafile: true,
    define: {"process.env.NODE_ENV": '"production"'}, logLevel: "warning",
  });
  return Object.keys(metafile.inputs);
}

/** The names of the packages that files belong to. */
function packagesOf(files) {
  const found = files.map((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]);
  return [...new Set(found.filter(Boolean).concat(Object.keys(DATA)))].sort();
}

function licenceOf(name) {
  const folder = join(work, "node_modules", name);
  const {version, license} = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  const text = file ? readFileSync(join(folder, file), "utf8").trim() : `Licence: ${license}`;
  return `${name} ${version} (${license})\n\n${text}\n`;
}

install();
const names = packagesOf(await bundle());
for (const [name, files] of Object.entries(DATA)) {
  for (const file of files) cpSync(join(work, "node_modules", name, file), join(made, file));
}
writeFileSync(join(made, "LICENSES.txt"), names.map(licenceOf).join(`\n${"-".repeat(80)}\n\n`));
const lib = join(uses, "lib");
if (existsSync(lib)) rmSync(lib, {recursive: true});
renameSync(made, lib);
console.log(`wsd/uses/lib: ${names.length} packages`);
