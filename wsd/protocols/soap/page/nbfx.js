// WCF's binary encoding, application/soap+msbin1 ([MC-NBFX], [MC-NBFS]): writes envelopes, and reads what the daemon writes.

const END = 0x01;
const ATTRIBUTE = {base: 0x04, letters: 0x0c};
const XMLNS = 0x08;
const ELEMENT = {base: 0x40, letters: 0x44};
const CHARACTERS = 0x98;
const BYTES = 0x9e;
const EMPTY = 0xa8;
const DICTIONARY = 0xaa;
const UNIQUE_ID = 0xac;
const SINGLE = new Map([[0x80, "0"], [0x82, "1"], [0x84, "false"], [0x86, "true"], [EMPTY, ""]]);
const BYTE_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]; // of a UUID
const ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"};

/** The strings that both sides know by number, as the daemon serves them: one a line. */
export class Strings {
  constructor(text) {
    this.texts = text.split("\n").slice(0, -1);
    this.numbers = new Map(this.texts.map((each, index) => [each, 2 * index]).reverse());
  }
}

/** Returns an element as a document in binary. */
export function encode(root, strings) {
  const writer = new Writer(strings);
  writer.element(root);
  return new Uint8Array(writer.out);
}

/** Returns a document in binary as XML. Throws an Error for a record that the daemon does not write. */
export function decode(bytes, strings) {
  return new Reader(bytes, strings).document();
}

/** Returns bytes as rows of 16: their offset, their hexadecimal digits, and their characters. */
export function hexOf(bytes) {
  const rows = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const digits = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(48);
    const characters = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${at.toString(16).padStart(4, "0")}  ${digits} ${characters}\n`);
  }
  return rows.join("");
}

class Writer {
  constructor(strings) {
    this.out = [];
    this.strings = strings;
  }

  element(node) {
    this.#named(node.prefix, node.localName, ELEMENT);
    for (const {name, prefix, localName, value} of node.attributes) {
      if (name === "xmlns" || prefix === "xmlns") this.#declaration(prefix ? localName : "", value);
      else {
        this.#named(prefix, localName, ATTRIBUTE);
        this.#text(value);
      }
    }
    for (const child of node.childNodes) {
      if (child.nodeType === Node.ELEMENT_NODE) this.element(child);
      else if (isText(child) && (child.data.trim() || !node.children.length)) this.#text(child.data);
    }
    this.out.push(END);
  }

  #named(prefix, local, {base, letters}) {
    const number = this.strings.numbers.get(local);
    const isKnown = number !== undefined;
    if (prefix && /^[a-z]$/.test(prefix)) {
      this.out.push(letters + prefix.charCodeAt(0) - 97 + (isKnown ? 0 : 26));
    } else {
      this.out.push(base + (prefix ? 1 : 0) + (isKnown ? 2 : 0));
      if (prefix) this.#string(prefix);
    }
    if (isKnown) this.#number(number);
    else this.#string(local);
  }

  #declaration(prefix, uri) {
    const number = this.strings.numbers.get(uri);
    const isKnown = number !== undefined;
    this.out.push(XMLNS + (prefix ? 1 : 0) + (isKnown ? 2 : 0));
    if (prefix) this.#string(prefix);
    if (isKnown) this.#number(number);
    else this.#string(uri);
  }

  #text(text) {
    const bytes = new TextEncoder().encode(text);
    const width = bytes.length < 0x100 ? 1 : bytes.length < 0x10000 ? 2 : 4;
    this.out.push(CHARACTERS + (width & 6));
    for (let index = 0; index < width; index++) this.out.push((bytes.length >>> (8 * index)) & 0xff);
    this.#bytes(bytes);
  }

  #string(text) {
    const bytes = new TextEncoder().encode(text);
    this.#number(bytes.length);
    this.#bytes(bytes);
  }

  #number(value) {
    for (; value >= 0x80; value >>>= 7) this.out.push((value & 0x7f) | 0x80);
    this.out.push(value);
  }

  #bytes(bytes) {
    for (const byte of bytes) this.out.push(byte);
  }
}

function isText(node) {
  return node.nodeType === Node.TEXT_NODE || node.nodeType === Node.CDATA_SECTION_NODE;
}

class Reader {
  constructor(bytes, strings) {
    this.bytes = bytes;
    this.strings = strings;
    this.at = 0;
    this.open = [];
    this.out = "";
  }

  document() {
    do {
      const record = this.#byte();
      if (record >= 0x40 && record < 0x78) this.#element(record);
      else if (record === END) this.#end();
      else {
        this.out += escaped(this.#text(record & 0xfe), /[&<>\r]/g);
        if (record & 1) this.#end();
      }
    } while (this.open.length);
    return this.out;
  }

  #element(record) {
    const name = this.#named(record, ELEMENT);
    this.open.push(name);
    this.out += `<${name}`;
    while (this.bytes[this.at] >= 0x04 && this.bytes[this.at] < 0x40) this.#attribute(this.#byte());
    this.out += ">";
  }

  #attribute(record) {
    let name, value;
    if (record >= XMLNS && record < XMLNS + 4) {
      name = record & 1 ? `xmlns:${this.#string()}` : "xmlns";
      value = record & 2 ? this.#known() : this.#string();
    } else {
      name = this.#named(record, ATTRIBUTE);
      value = this.#text(this.#byte());
    }
    this.out += ` ${name}="${escaped(value, /[&<>"\t\n\r]/g)}"`;
  }

  #end() {
    this.out += `</${this.open.pop()}>`;
  }

  #named(record, {base, letters}) {
    if (record < base + 4) {
      const prefix = (record - base) & 1 ? `${this.#string()}:` : "";
      return prefix + (record - base >= 2 ? this.#known() : this.#string());
    }
    const letter = record - letters;
    return `${String.fromCharCode(97 + (letter % 26))}:${letter < 26 ? this.#known() : this.#string()}`;
  }

  #text(record) {
    if (SINGLE.has(record)) return SINGLE.get(record);
    if (record >= CHARACTERS && record < BYTES) return new TextDecoder().decode(this.#sized(record - CHARACTERS));
    if (record >= BYTES && record < BYTES + 6) return base64(this.#sized(record - BYTES));
    if (record === DICTIONARY) return this.#known();
    if (record === UNIQUE_ID) return `urn:uuid:${uuid(this.#take(16))}`;
    throw new Error(`there is no record ${record.toString(16)} in this place`);
  }

  #sized(twice) {
    let size = 0;
    for (let index = 0; index < 1 << (twice / 2); index++) size += this.#byte() * 2 ** (8 * index);
    return this.#take(size);
  }

  #known() {
    return this.strings.texts[this.#number() / 2];
  }

  #string() {
    return new TextDecoder().decode(this.#take(this.#number()));
  }

  #number() {
    let value = 0;
    for (let shift = 0, byte = 0x80; byte & 0x80; shift += 7) {
      byte = this.#byte();
      value |= (byte & 0x7f) << shift;
    }
    return value;
  }

  #byte() {
    return this.#take(1)[0];
  }

  #take(size) {
    if (this.at + size > this.bytes.length) throw new Error("the message ends inside a record");
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }
}

function escaped(text, special) {
  return text.replace(special, (character) => ESCAPES[character]);
}

function base64(bytes) {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function uuid(bytes) {
  const digits = BYTE_ORDER.map((index) => bytes[index].toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
