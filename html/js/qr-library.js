// Loads lean-qr when a QR code is first shown: viewers never need it. Rejects when it cannot be loaded.
export function loadQr() {
  return import('../vendor/lean-qr.js');
}
