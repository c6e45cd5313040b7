// Client-side prediction: what a player does is shown at once, and corrected where the server decides otherwise.

const GLIDE = 0.8; // of a correction that is left in the next picture

export class Prediction {
  self = null; // where we are, by our own steps: {x, y, ...}; null until the server says it for the first time
  #move;
  #unmade = []; // our steps that the server has not made yet
  #number = 0; // of our last step
  #jump = {x: 0, y: 0}; // from where we are to where we are shown, after a correction

  /** `move(self, step)` makes a step by the rules of the server. The first item of a step is its number. */
  constructor(move) {
    this.#move = move;
  }

  /** We are new, or watch. */
  clear() {
    [this.self, this.#unmade] = [null, []];
  }

  // lesson: step
  /** Makes one step at once, and returns it for the server. */
  step(action) {
    const step = [++this.#number, ...action];
    this.#unmade.push(step);
    this.#move(this.self, step);
    return step;
  }
  // end of lesson

  // lesson: correct
  /** Begins from where the server says we are, and makes the steps again that it has not made yet. */
  correct(self, made) {
    const thought = this.self ?? self;
    this.self = self;
    this.#unmade = this.#unmade.filter(([number]) => number > made);
    for (const step of this.#unmade) this.#move(self, step);
    const [right, down] = [thought.x - self.x, thought.y - self.y];
    this.#jump = {x: this.#jump.x + right, y: this.#jump.y + down};
    return Math.hypot(right, down); // how wrong we were
  }
  // end of lesson

  /** Where we are shown in the next picture: corrections glide. */
  show() {
    this.#jump = {x: this.#jump.x * GLIDE, y: this.#jump.y * GLIDE};
    return {...this.self, x: this.self.x + this.#jump.x, y: this.self.y + this.#jump.y};
  }
}
