// SPDX-License-Identifier: Apache-2.0

// Beside the client's own examples, copied from where it is installed: tells them which members to
// ask, in place of a main of theirs that starts etcd.
package clientv3_test

import (
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	endpoints = strings.Split(os.Getenv("ENDPOINTS"), ",")
	os.Exit(m.Run())
}
