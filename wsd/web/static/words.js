// The words of the console. Each language has the same keys; {names} are filled in by say().

import {addWords} from "./language.js";
import {en} from "./words-en.js";
import {zh} from "./words-zh.js";

export const words = {en, zh};

addWords(words);
