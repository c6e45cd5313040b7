// CodeMirror 6 and its binding to Yjs: import {EditorView, basicSetup, yCollab} from "/uses/lib/codemirror.js";

export {Annotation, Compartment, EditorState, RangeSet} from "@codemirror/state";
export {Decoration, keymap, lineNumbers, placeholder, ViewPlugin, WidgetType} from "@codemirror/view";
export {basicSetup, EditorView, minimalSetup} from "codemirror";
export {yCollab, yUndoManagerKeymap} from "y-codemirror.next";
