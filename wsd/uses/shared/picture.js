// A picture that a visitor adds to a text: chosen or pasted, shown, described in words, and uploaded.

import {create} from "/_wsd/element.js";
import {addWords} from "/_wsd/language.js";
import {upload} from "/_wsd/wsd-blob.js";
import {at} from "./frame.js";
import {tell} from "./wrong.js";

const element = (id) => document.getElementById(id);

addWords({
  en: {
    "picture.add": "Add a picture", "picture.remove": "Remove the picture",
    "picture.alt": "What the picture shows, for those who cannot see it",
    "picture.uploading": "Uploading the picture: {share}%",
    "picture.odd": "This browser cannot show {name} as a picture.",
  },
  zh: {
    "picture.add": "添加图片", "picture.remove": "移除图片", "picture.alt": "图片内容说明（供看不到图片的人使用）",
    "picture.uploading": "正在上传图片：{share}%", "picture.odd": "{name} 不是本浏览器能显示的图片。",
  },
});

/** The part of a form for it: a button #picture, an input #file, and #preview with an image, #alt and #remove. */
export class PictureField {
  #chosen = null; // {file, width, height}

  constructor(form) {
    element("picture").addEventListener("click", () => element("file").click());
    element("file").addEventListener("change", () => this.#choose(element("file").files));
    form.addEventListener("paste", ({clipboardData}) => this.#choose(clipboardData.files));
    element("remove").addEventListener("click", () => {
      this.#clear();
      element("picture").focus();
    });
  }

  get isFilled() {
    return this.#chosen !== null;
  }

  /** Stores the picture at /blob, and empties the field. Returns {url, width, height, alt}, or null for no picture. */
  async upload() {
    if (!this.isFilled) return null;
    const [{file, width, height}, alt] = [this.#chosen, element("alt").value.trim()];
    this.#clear();
    const onprogress = ({acknowledged, size}) => {
      tell("picture.uploading", {share: Math.floor(100 * acknowledged / size)}, "quiet");
    };
    const {url} = await upload(at("/blob"), file, {onprogress});
    return {url, width, height, alt};
  }

  #clear() {
    URL.revokeObjectURL(element("preview").querySelector("img").src);
    element("preview").hidden = true;
    element("alt").value = element("file").value = "";
    this.#chosen = null;
    tell(null);
  }

  async #choose([file]) {
    if (!file) return;
    this.#clear();
    try {
      // With the size, whoever shows the picture can keep a place for it.
      const bitmap = await createImageBitmap(file);
      this.#chosen = {file, width: bitmap.width, height: bitmap.height};
      bitmap.close();
    } catch {
      tell("picture.odd", {name: file.name});
      return;
    }
    element("preview").querySelector("img").src = URL.createObjectURL(file);
    element("preview").hidden = false;
    element("alt").focus();
  }
}

/** The image of a picture that somebody has sent, as `upload` returned it; null if it is no file of /blob. */
export function imageOf(picture) {
  if (!/^\/blob\/[0-9a-f]+$/.test(picture?.url)) return null;
  const [width, height] = [Number(picture.width) || 1, Number(picture.height) || 1];
  const image = create("img", {width, height, loading: "lazy", alt: String(picture.alt ?? "")});
  image.crossOrigin = "anonymous"; // so that /blob knows whose page asks, if the page comes from another server
  image.src = at(picture.url);
  return image;
}
