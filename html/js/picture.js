// Helpers of all players for the <video> and the canvas over it.

/** Plays. Browsers allow sound only after a click: without one, plays muted and calls onMuted. */
export function playOrMute(video, onMuted) {
  video.play()?.catch((error) => {
    if (error.name !== 'NotAllowedError' || video.muted) return;
    video.muted = true;
    onMuted();
    video.play()?.catch(() => {});
  });
}

/** Copies the current picture to the canvas, until the next one comes. */
export function keepPicture(video, still) {
  if (!video.videoWidth || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
  // No larger than shown: sixteen 1080p stills would cost 130 MB.
  const shown = Math.max(320, video.clientWidth * (window.devicePixelRatio || 1));
  const scale = Math.min(1, shown / video.videoWidth);
  still.width = Math.round(video.videoWidth * scale);
  still.height = Math.round(video.videoHeight * scale);
  still.getContext('2d').drawImage(video, 0, 0, still.width, still.height);
  still.hidden = false;
}

export function bufferedRanges({ buffered }) {
  return Array.from({ length: buffered.length }, (_, index) => [buffered.start(index), buffered.end(index)]);
}
