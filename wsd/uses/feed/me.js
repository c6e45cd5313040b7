// Who this window is. Each window is another person, so that two of them can follow each other.

import {kept} from "/uses/shared/kept.js";

const [id, number] = crypto.getRandomValues(new Uint32Array(2));

export const me = kept({id: id.toString(36), name: "", number: 100 + number % 900, unfollowed: []});
