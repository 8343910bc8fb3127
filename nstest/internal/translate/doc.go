// Package translate rewrites IP packets: from one IPv6 prefix to another (NPTv6), and between IPv6 and IPv4 (NAT64). The
// kernel does neither. A device leads packets to it and takes back what becomes of them.
package translate
