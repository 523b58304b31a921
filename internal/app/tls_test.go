package app

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/internal/config"
)

// A client that trusts ca.pem accepts every name it may use, also after a
// restart, and nobody but the owner can read the CA's key.
func TestAutoCertificate(t *testing.T) {
	dir := t.TempDir()
	mode := config.TLS{Mode: "auto"}
	if _, _, err := serverTLS(mode, dir, "192.0.2.7:8080"); err != nil {
		t.Fatal(err)
	}
	conf, ca, err := serverTLS(mode, dir, "192.0.2.7:8080", "gate.example:8080", "0.0.0.0:1")
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	leaf, err := x509.ParseCertificate(conf.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "192.0.2.7": true, "gate.example": true, "0.0.0.0": false, "other.example": false} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots})
		if ok := err == nil; ok != want {
			t.Errorf("certificate for %s: %v, want valid %v", name, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, caKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("CA key: %v, %v, want mode 0600", info.Mode(), err)
	}
	if conf.MinVersion < tls.VersionTLS12 {
		t.Error("TLS below 1.2 is accepted")
	}
}

func TestServerTLSOff(t *testing.T) {
	if conf, _, err := serverTLS(config.TLS{Mode: "off"}, t.TempDir()); conf != nil || err != nil {
		t.Errorf("got %v, %v, want neither", conf, err)
	}
	if _, _, err := serverTLS(config.TLS{Mode: "files", Cert: "absent.pem", Key: "absent.pem"}, t.TempDir()); err == nil {
		t.Error("absent files were accepted")
	}
}
