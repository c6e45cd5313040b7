// A form that sends a text: what cannot be sent comes back into its field.

import {addWords} from "/_wsd/language.js";
import {tell} from "./wrong.js";

addWords({en: {"compose.failed": "Not sent: {reason}"}, zh: {"compose.failed": "发送失败：{reason}"}});

/** `send(text)` may return a promise. Nothing is sent while the field is empty, unless `hasMore()`. */
export function sendText(form, field, send, hasMore = () => false) {
  let hasFailed = false;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const written = field.value;
    if (!written.trim() && !hasMore()) {
      field.focus();
      return;
    }
    field.value = "";
    try {
      await send(written.trim());
      if (hasFailed) tell(null);
      hasFailed = false;
    } catch (error) {
      hasFailed = true;
      field.value ||= written;
      tell("compose.failed", {reason: error.message});
    }
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}
