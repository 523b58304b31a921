package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"gatehouse/internal/config"
)

// The local CA of `--tls auto`. Its certificate may be given to clients
// (AWS_CA_BUNDLE, NODE_EXTRA_CA_CERTS); its key never leaves the data directory.
const (
	caCertFile = "ca.pem"
	caKeyFile  = "ca-key.pem"
	caLife     = 10 * 365 * 24 * time.Hour
	leafLife   = 90 * 24 * time.Hour // a new one at each start
)

// serverTLS returns the configuration of the TCP listeners, nil for plain HTTP,
// and the path of the CA that clients must trust, if it is ours.
func serverTLS(c config.TLS, dir string, listen ...string) (conf *tls.Config, ca string, err error) {
	var cert tls.Certificate
	switch c.Mode {
	case "files":
		cert, err = tls.LoadX509KeyPair(c.Cert, c.Key)
	case "auto":
		if ca, err = filepath.Abs(filepath.Join(dir, caCertFile)); err == nil {
			cert, err = autoCertificate(dir, listen, time.Now())
		}
	default:
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("tls %s: %w", c.Mode, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, ca, nil
}

// autoCertificate makes a server certificate for this machine's names and the
// addresses listened on, signed by the local CA, which is made if absent.
func autoCertificate(dir string, listen []string, now time.Time) (tls.Certificate, error) {
	ca, caKey, err := loadCA(dir)
	if errors.Is(err, fs.ErrNotExist) {
		ca, caKey, err = makeCA(dir, now)
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	names, ips := hostNames(listen)
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "gatehouse"},
		NotBefore: now.Add(-5 * time.Minute), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: names, IPAddresses: ips,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.Raw}, PrivateKey: key}, nil
}

// hostNames are the names and addresses a client of this machine may use.
func hostNames(listen []string) (names []string, ips []net.IP) {
	names = []string{"localhost"}
	ips = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if name, err := os.Hostname(); err == nil && name != "localhost" {
		names = append(names, name)
	}
	for _, addr := range listen {
		host, _, err := net.SplitHostPort(addr)
		if err != nil || host == "" || host == "localhost" {
			continue
		}
		if ip := net.ParseIP(host); ip == nil {
			names = append(names, host)
		} else if !ip.IsUnspecified() && !ip.IsLoopback() {
			ips = append(ips, ip)
		}
	}
	return names, ips
}

func loadCA(dir string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, caCertFile), filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, errors.New(caKeyFile + " is not an ECDSA key; delete both CA files to have new ones made")
	}
	return pair.Leaf, key, nil
}

func makeCA(dir string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Gatehouse local CA"},
		NotBefore: now.Add(-5 * time.Minute), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	err = errors.Join(
		writePEM(filepath.Join(dir, caKeyFile), "PRIVATE KEY", keyDER, 0o600),
		writePEM(filepath.Join(dir, caCertFile), "CERTIFICATE", der, 0o644))
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	return ca, key, err
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return n
}
