/** Networks that are not part of the public Internet: what comes from there is forged. */

/** First octets. */
const CLASS_A = [3, 6, 7, 9, 11, 19, 21, 22, 25, 26, 28, 29, 30, 33, 34, 48, 56]

const dark = new Uint8Array(256)
for (const octet of CLASS_A) dark[octet] = 1

/** Whether an IPv4 address is in such a network (`dht_ignore_dark_internet`); false for IPv6. */
export function isDarkInternet(address: string): boolean {
  let octet = 0
  for (let i = 0; i < 4; i++) {
    const c = address.charCodeAt(i)
    if (c === 46) return dark[octet] === 1
    if (!(c >= 48 && c <= 57)) return false
    octet = octet * 10 + c - 48
  }
  return false
}
