// Keeps the pictures of cards fresh while they are on the screen and the page is in front, one
// after another: see stream-cards.js. A card is {element, showPicture(image), forget(), showAge(ms or null)}.

import { nextPictures, wantedPicture } from '../stream-cards.js';

const answerWithinMs = 15_000;
const laterMs = 5000;
const refusedMs = 30_000;
const nearby = '160px'; // fetch just before a card comes into view

export class StreamPictures {
  constructor() {
    this.places = new Map(); // element of the card -> its place
    this.lastRefresh = 0;
    this.ended = new AbortController();
    this.observer = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: nearby });
    document.addEventListener('visibilitychange', () => this.inFront(), { signal: this.ended.signal });
  }

  add(card) {
    const place = { card, visible: false, wanted: 'none', busy: false, at: null, cameAt: null, notBefore: 0 };
    this.places.set(card.element, place);
    this.observer.observe(card.element);
    return place;
  }

  remove(card) {
    this.observer.unobserve(card.element);
    this.places.delete(card.element);
  }

  /** The stream of a card has changed. A stream that is live again is asked for at once. */
  changed(card, stream) {
    const place = this.places.get(card.element) ?? this.add(card);
    const wanted = wantedPicture(stream);
    const { wanted: before } = place;
    place.url = stream.play?.replace(/\.flv$/, '.jpg');
    if (wanted === before) return;
    place.wanted = wanted;
    if (wanted === 'none') this.drop(place);
    else if (wanted === 'fresh') this.expectLive(place);
    // The card of a stream that ends keeps the picture that it shows.
    else if (place.cameAt === null) place.at = null;
    this.tellAge(place);
    this.soon();
  }

  // What the card shows is from before, however new it is.
  expectLive(place) {
    place.at = null;
    place.notBefore = 0;
    if (place.cameAt !== null) place.cameAt = -Infinity;
  }

  drop(place) {
    place.cameAt = null;
    place.at = null;
    place.card.forget();
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const place = this.places.get(target);
      if (place) place.visible = isIntersecting;
    }
    this.soon();
  }

  inFront() {
    for (const place of this.places.values()) this.tellAge(place);
    this.soon();
  }

  /** Looks once for all changes of this moment. */
  soon() {
    if (this.asked) return;
    this.asked = true;
    queueMicrotask(() => {
      this.asked = false;
      this.turn();
    });
  }

  turn() {
    clearTimeout(this.timer);
    if (this.ended.signal.aborted || document.visibilityState === 'hidden') return;
    const now = Date.now();
    const { start, wait } = nextPictures([...this.places.values()], now, this.lastRefresh);
    for (const place of start) {
      if (place.at !== null) this.lastRefresh = now;
      this.fetch(place);
    }
    if (wait < Infinity) this.timer = setTimeout(() => this.turn(), Math.max(wait, 10));
  }

  async fetch(place) {
    const { wanted } = place;
    place.busy = true;
    try {
      const response = await fetch(place.url, {
        cache: 'no-cache', // the same picture again has an answer without a body
        signal: AbortSignal.any
          ? AbortSignal.any([this.ended.signal, AbortSignal.timeout(answerWithinMs)])
          : this.ended.signal,
      });
      await this.take(place, wanted, response);
    } catch {
      place.notBefore = Date.now() + laterMs; // no network, or no JPEG
    }
    place.busy = false;
    if (this.ended.signal.aborted) return;
    this.tellAge(place);
    this.soon();
  }

  async take(place, wanted, response) {
    const now = Date.now();
    if (wanted !== place.wanted && place.wanted === 'fresh') return; // an old picture of a stream that is live by now
    if (response.status === 429 || response.status === 503) {
      place.notBefore = now + (Number(response.headers.get('Retry-After')) || 1) * 1000;
      return;
    }
    place.at = now;
    // The user may not view it any more: the next list says so, too.
    if (response.status === 401 || response.status === 403) {
      this.drop(place);
      place.notBefore = now + refusedMs;
    }
    if (!response.ok) return;
    const tag = response.headers.get('ETag');
    if (tag && tag === place.tag && place.cameAt !== null) response.body?.cancel();
    else {
      const image = await decoded(await response.blob());
      if (place.wanted === 'none' || !this.places.has(place.card.element)) {
        URL.revokeObjectURL(image.src);
        return;
      }
      place.card.showPicture(image);
      place.tag = tag;
    }
    place.cameAt = now - (wanted === 'fresh' ? Number(response.headers.get('X-Picture-Age')) : 0);
  }

  tellAge(place) {
    place.card.showAge(place.wanted === 'fresh' && place.cameAt !== null ? Date.now() - place.cameAt : null);
  }

  destroy() {
    this.ended.abort();
    clearTimeout(this.timer);
    this.observer.disconnect();
    for (const { card } of this.places.values()) card.forget();
    this.places.clear();
  }
}

/** An image that is ready to be shown, so that replacing another one does not flash. */
async function decoded(blob) {
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  try {
    await image.decode();
  } catch (error) {
    URL.revokeObjectURL(image.src);
    throw error;
  }
  return image;
}
