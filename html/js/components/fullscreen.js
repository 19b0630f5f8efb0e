// Full screen of any element; iPhones support it only for the <video> itself.

export function toggleFullscreen(element) {
  if (document.fullscreenElement) return document.exitFullscreen();
  if (element.requestFullscreen) return element.requestFullscreen().catch(() => {});
  const video = element.matches('video') ? element : element.querySelector('video');
  return video?.webkitEnterFullscreen?.();
}
