// Sends pushes with github.com/sideshow/apns2, the client inside Gorush: apns2 URL KEY_FILE CA_FILE MESSAGES.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"
)

const (
	workers = 256
	devices = 1000
)

func client(url, keyFile, caFile string) *apns2.Client {
	key, err := token.AuthKeyFromFile(keyFile)
	check(err)
	authorities := x509.NewCertPool()
	pem, err := os.ReadFile(caFile)
	check(err)
	authorities.AppendCertsFromPEM(pem)
	made := apns2.NewTokenClient(&token.Token{AuthKey: key, KeyID: "ABCDE12345", TeamID: "TEAMID1234"})
	made.Host = url
	made.HTTPClient = &http.Client{Transport: &http2.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities}}}
	return made
}

func send(to *apns2.Client, count int) int64 {
	var next, taken atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for number := next.Add(1); number <= int64(count); number = next.Add(1) {
				push := &apns2.Notification{
					DeviceToken: fmt.Sprintf("%064x", number%devices),
					Topic:       "com.example.app",
					Payload: map[string]any{
						"aps":  map[string]any{"alert": map[string]string{"title": "Your order is on its way", "body": "It arrives tomorrow."}},
						"data": map[string]string{"order": "4711"},
					},
				}
				if answer, err := to.Push(push); err == nil && answer.Sent() {
					taken.Add(1)
				}
			}
		}()
	}
	group.Wait()
	return taken.Load()
}

func cpu() float64 {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	count, err := strconv.Atoi(os.Args[4])
	check(err)
	to := client(os.Args[1], os.Args[2], os.Args[3])
	send(to, 512)
	began, used := time.Now(), cpu()
	taken := send(to, count)
	told := map[string]float64{
		"rate":  float64(count) / time.Since(began).Seconds(),
		"cpu":   (cpu() - used) / float64(count) * 1e6,
		"taken": float64(taken),
	}
	check(json.NewEncoder(os.Stdout).Encode(told))
}
