//! Which addresses a download may connect to: the public ones, and those an operator allows by name.
//!
//! For version 4 the table lists what is refused (the IANA special-purpose registry, multicast, the reserved
//! block). For version 6 it is the other way round: only global unicast, `2000::/3`, is public, less the special
//! blocks inside it. Addresses that carry a version 4 address in them (mapped, translated, 6to4, Teredo) are
//! refused as a kind, because what they reach depends on the network and not on the address; where an operator
//! allows such a kind, the address inside has to pass as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Version 4 blocks that are refused unless allowed by name.
const REFUSED_V4: [Ipv4Net; 17] = [
    v4([0, 0, 0, 0], 8),          // "this network"; 0.0.0.0 reaches the machine itself
    v4([10, 0, 0, 0], 8),         // private
    v4([100, 64, 0, 0], 10),      // shared address space of carriers, and some clouds' metadata (100.100.100.200)
    v4([127, 0, 0, 0], 8),        // loopback
    v4([168, 63, 129, 16], 32),   // Azure's host agent: a public number for a private thing
    v4([169, 254, 0, 0], 16),     // link-local, and most clouds' metadata (169.254.169.254)
    v4([172, 16, 0, 0], 12),      // private
    v4([192, 0, 0, 0], 24),       // protocol assignments, and one cloud's metadata (192.0.0.192)
    v4([192, 0, 2, 0], 24),       // documentation
    v4([192, 88, 99, 0], 24),     // 6to4 relays, withdrawn
    v4([192, 168, 0, 0], 16),     // private
    v4([198, 18, 0, 0], 15),      // benchmarks
    v4([198, 51, 100, 0], 24),    // documentation
    v4([203, 0, 113, 0], 24),     // documentation
    v4([224, 0, 0, 0], 4),        // multicast
    v4([240, 0, 0, 0], 4),        // reserved
    v4([255, 255, 255, 255], 32), // broadcast; inside the reserved block, named for the reader
];

/// The only version 6 block that is public.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Blocks inside [`GLOBAL_V6`] that are refused unless allowed by name. What lies outside of it and would
/// otherwise stand here: `::/96` (unspecified, loopback, v4-compatible), `::ffff:0:0/96` (mapped), `64:ff9b::/96`
/// and `64:ff9b:1::/48` (translated), `100::/64` (discard), `fc00::/7` (unique local), `fe80::/10` (link-local),
/// `fec0::/10` (site-local), `ff00::/8` (multicast), `5f00::/16` (segment routing).
const REFUSED_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments: Teredo, benchmarks, ORCHID
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation
];

/// Blocks whose addresses end in a version 4 address.
const CARRIES_V4_LAST: [Ipv6Net; 5] = [
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96),         // v4-compatible
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),    // v4-mapped
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),    // translated, RFC 2765
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), // translated, RFC 6052
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), // translated inside a network, RFC 8215
];

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// Whether `address` may be connected to: it is public, or inside one of `allow`; and so is what it carries.
#[must_use]
pub fn is_allowed(address: IpAddr, allow: &[IpNet]) -> bool {
    (is_public(address) || allow.iter().any(|net| net.contains(&address)))
        && carried(address).is_none_or(|inner| is_allowed(IpAddr::V4(inner), allow))
}

/// Whether `address` is one that anybody on the internet could reach.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !REFUSED_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => GLOBAL_V6.contains(&address) && !REFUSED_V6.iter().any(|net| net.contains(&address)),
    }
}

/// The version 4 address inside `address`, if it is of a kind that carries one. `::1` is not: it is loopback.
fn carried(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    if address.is_loopback() || address.is_unspecified() {
        return None;
    }
    let octets = address.octets();
    let [.., a, b, c, d] = octets;
    if CARRIES_V4_LAST.iter().any(|net| net.contains(&address)) {
        return Some(Ipv4Addr::new(a, b, c, d));
    }
    match octets {
        [0x20, 0x02, a, b, c, d, ..] => Some(Ipv4Addr::new(a, b, c, d)),
        // Teredo keeps the client's address with every bit turned.
        [0x20, 0x01, 0, 0, ..] => Some(Ipv4Addr::new(!a, !b, !c, !d)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn special_addresses_are_refused_at_both_ends_of_their_blocks() {
        let refused = [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.192",
            "192.0.0.255",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.0",
            "255.255.255.254",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "64:ff9b:1:ffff::1",
            "100::1",
            "2001::1",
            "2001:0:5ef5:79fd::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2001:db8:ffff::1",
            "2002::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff:ffff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "feff::1",
            "ff00::1",
            "ff02::1",
            "ff0e::1",
            "1fff:ffff::1",
            "4000::1",
            "ffff::1",
        ];
        for text in refused {
            assert!(!is_public(address(text)), "{text} is no public address");
            assert!(!is_allowed(address(text), &[]), "{text}");
        }
    }

    #[test]
    fn public_addresses_next_to_the_blocks_are_not() {
        let public = [
            "1.0.0.0",
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2001:db7:ffff::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "3ffe:ffff::1",
            "3fff:1000::1",
        ];
        for text in public {
            assert!(is_public(address(text)) && is_allowed(address(text), &[]), "{text} is a public address");
        }
    }

    #[test]
    fn what_is_allowed_by_name_is_allowed_and_nothing_beside_it() {
        let allow: Vec<IpNet> = ["10.1.0.0/16", "fd00:1::/32", "::1/128"].map(|net| net.parse().unwrap()).to_vec();
        for text in ["10.1.0.1", "10.1.255.255", "fd00:1::5", "::1", "8.8.8.8"] {
            assert!(is_allowed(address(text), &allow), "{text}");
        }
        for text in ["10.2.0.1", "10.0.255.255", "127.0.0.1", "fd00:2::5", "::ffff:10.1.0.1", "::2", "2002:a01::1"] {
            assert!(!is_allowed(address(text), &allow), "{text}");
        }
    }

    #[test]
    fn an_allowed_translation_does_not_open_what_it_carries() {
        let nets = ["64:ff9b::/96", "::ffff:0:0/96", "2002::/16", "2001::/32", "::/96"];
        let allow: Vec<IpNet> = nets.map(|net| net.parse().unwrap()).to_vec();
        // Teredo: f7f7:f7f7 is 8.8.8.8 turned, 80ff:fffe is 127.0.0.1 turned.
        for text in ["64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::1", "2001::f7f7:f7f7", "::8.8.8.8", "::1"] {
            assert!(is_allowed(address(text), &allow), "{text}");
        }
        let inner = ["64:ff9b::7f00:1", "::ffff:10.0.0.1", "2002:a9fe:a9fe::1", "2001::80ff:fffe", "::127.0.0.1"];
        for text in inner {
            assert!(!is_allowed(address(text), &allow), "{text}");
        }
    }
}
