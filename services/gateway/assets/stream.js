// The life of the connection to /v1/stream: open, resume, notice silence, back off, rest while nobody looks.

const SILENCE_MS = 12000; // The server sends the state of the pipeline every second.
const HIDDEN_MS = 60000; // Browsers allow six connections per site over HTTP/1.1: a hidden tab gives its own back.
const EVENTS = ['snapshot', 'price', 'metric', 'alert', 'pipeline', 'lagged', 'bye'];

/** The wait before attempt n, in ms: 0.5 s doubling to 15 s, with jitter so that many pages do not come back at once. */
export function backoff(attempt, random = Math.random()) {
  return Math.min(15000, 500 * 2 ** Math.min(attempt, 10)) * (0.5 + random / 2);
}

export class Stream {
  /** `onEvent(name, data)`; `onState(state, detail)` with connecting | live | lost | paused. */
  constructor({ onEvent, onState }) {
    this.onEvent = onEvent;
    this.onState = onState;
    this.series = null;
    this.lastId = '';
    this.attempt = 0;
    document.addEventListener('visibilitychange', () => this.visibility());
    setInterval(() => this.watch(), 2000);
  }

  /** Asks for the metrics of one series beside the prices. Reopens where it was: nothing is sent twice. */
  follow(series) {
    if (this.series === series) return;
    this.series = series;
    clearTimeout(this.followTimer);
    // Holding `j` runs through many symbols; only where it stops matters.
    this.followTimer = setTimeout(() => this.open(), this.source ? 120 : 0);
  }

  open() {
    this.close();
    const query = new URLSearchParams({ bars: this.series ?? 'none' });
    if (this.lastId) query.set('last_event_id', this.lastId);
    if (this.attempt > 0 || !this.everLive) this.onState('connecting');
    const source = new EventSource(`/v1/stream?${query}`);
    this.source = source;
    this.heard = Date.now();
    source.onerror = () => this.failed();
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        this.heard = Date.now();
        if (event.lastEventId) this.lastId = event.lastEventId;
        if (name === 'bye') return this.failed();
        this.attempt = 0;
        this.everLive = true;
        this.onState('live');
        this.onEvent(name, JSON.parse(event.data));
      });
    }
  }

  close() {
    clearTimeout(this.retryTimer);
    this.source?.close();
    this.source = null;
  }

  failed() {
    this.close();
    const wait = backoff(this.attempt++);
    this.onState('lost', Math.round(wait / 1000));
    this.retryTimer = setTimeout(() => this.open(), wait);
  }

  /** A half-open connection raises no error: silence is the only sign. */
  watch() {
    if (this.source && Date.now() - this.heard > SILENCE_MS) this.failed();
  }

  visibility() {
    clearTimeout(this.hiddenTimer);
    if (document.hidden) {
      this.hiddenTimer = setTimeout(() => {
        this.close();
        this.onState('paused');
      }, HIDDEN_MS);
    } else if (!this.source) {
      this.attempt = 0;
      this.open();
    }
  }
}
