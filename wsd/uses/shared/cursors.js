// The names, cursors and selections of the others, in CodeMirror. (y-codemirror.next has such a plugin as well, with
// inline styles, which a strict content security policy forbids.)

import {create} from "/_wsd/element.js";
import {Annotation, Decoration, EditorView, RangeSet, ViewPlugin, WidgetType} from "/uses/lib/codemirror.js";
import {Y} from "/uses/lib/yjs.js";
import {COLORS, colorOf} from "./avatar.js";

const moved = Annotation.define(); // others have moved their cursors

class Caret extends WidgetType {
  constructor(name, color) {
    super();
    Object.assign(this, {name, color});
  }

  eq(other) {
    return other.name === this.name && other.color === this.color;
  }

  toDOM() {
    const name = create("span", {className: "who", textContent: this.name});
    const caret = create("span", {className: `caret color-${this.color}`}, "\u2060", name);
    caret.setAttribute("aria-hidden", "true"); // the list of people has the names
    return caret;
  }

  ignoreEvent() {
    return true;
  }
}

class Cursors {
  decorations = RangeSet.empty;

  constructor(view, text, awareness) {
    Object.assign(this, {text, awareness});
    this.changed = ({added, updated, removed}) => {
      const isOfOthers = [...added, ...updated, ...removed].some((client) => client !== awareness.clientID);
      if (isOfOthers) view.dispatch({annotations: moved.of(true)});
    };
    awareness.on("change", this.changed);
  }

  destroy() {
    this.awareness.off("change", this.changed);
  }

  update({view, state, docChanged, selectionSet, focusChanged}) {
    if (view.hasFocus && (docChanged || selectionSet || focusChanged)) this.publish(state.selection.main);
    this.decorations = Decoration.set([...this.draw(state.doc.length)], true);
  }

  // lesson: cursor
  publish({anchor, head}) {
    const place = (index) => Y.createRelativePositionFromTypeIndex(this.text, index);
    const cursor = {anchor: place(anchor), head: place(head)};
    const before = this.awareness.getLocalState()?.cursor;
    if (JSON.stringify(before) !== JSON.stringify(cursor)) this.awareness.setLocalStateField("cursor", cursor);
  }

  placeOf(position) {
    const relative = Y.createRelativePositionFromJSON(position);
    const place = Y.createAbsolutePositionFromRelativePosition(relative, this.text.doc);
    return place?.type === this.text ? place.index : null;
  }
  // end of lesson

  *draw(length) {
    for (const [client, {user, cursor}] of this.awareness.getStates()) {
      if (client === this.awareness.clientID || !user || !cursor) continue;
      const [anchor, head] = [this.placeOf(cursor.anchor), this.placeOf(cursor.head)];
      if (anchor === null || head === null || Math.max(anchor, head) > length) continue;
      const color = colorOf(String(client));
      if (anchor !== head) {
        const mark = Decoration.mark({class: `selected color-${color}`});
        yield mark.range(Math.min(anchor, head), Math.max(anchor, head));
      }
      yield Decoration.widget({widget: new Caret(String(user.name), color), side: 1}).range(head);
    }
  }
}

/** An extension that shows the cursors of the others in `text`, and publishes ours. It follows yCollab's. */
export function cursors(text, awareness) {
  return ViewPlugin.define((view) => new Cursors(view, text, awareness), {decorations: (plugin) => plugin.decorations});
}

/** The styles of cursors. */
export const cursorTheme = EditorView.baseTheme({
  ".caret": {position: "relative", marginLeft: "-1px", marginRight: "-1px",
    borderLeft: "2px solid light-dark(var(--person), color-mix(in srgb, var(--person) 60%, white))"},
  ".who": {
    position: "absolute", left: "-2px", top: "-1.35em", padding: "0 5px", borderRadius: "4px 4px 4px 0",
    background: "var(--person)", color: "#fff", font: "500 11px/1.4 var(--sans)", whiteSpace: "nowrap",
    pointerEvents: "none", userSelect: "none",
  },
  ".selected": {backgroundColor: "color-mix(in srgb, var(--person) 28%, transparent)"},
  ...Object.fromEntries(COLORS.map((color, index) => [`.color-${index}`, {"--person": color}])),
});
