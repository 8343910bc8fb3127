package traffic

import "crypto/x509"

// Certificate is how the text begins of a message of TLS with a certificate, of which the subject follows, and when it is valid.
const Certificate = "Certificate "

// behind is what follows the first message in a record of handshakes.
func behind(record []byte) []byte {
	r := reader(record)
	r.take(1)
	r.vector(3)
	return r
}

// certificate is the first certificate, which is that of who has sent it, in a message of that name (RFC 5246, section 7.4.2), if
// the segment has the whole of it. From TLS 1.3 on it is encrypted.
func certificate(b []byte) []message {
	r := reader(b)
	if kind := r.take(1); len(kind) == 0 || kind[0] != 11 {
		return nil
	}
	r.take(3 + 3) // how long the message is, and the list, does not matter: the record may be cut
	c, err := x509.ParseCertificate(r.vector(3))
	if err != nil {
		return nil
	}
	name := c.Subject.String()
	if name == "" && len(c.DNSNames) > 0 {
		name = c.DNSNames[0]
	}
	const format = "2006-01-02 15:04 UTC"
	return []message{{kind: TLS, text: Certificate + clip([]byte(name)) + ", valid from " + c.NotBefore.UTC().Format(format) + " until " + c.NotAfter.UTC().Format(format)}}
}
