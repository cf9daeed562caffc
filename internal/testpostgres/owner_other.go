// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package testpostgres

import (
	"errors"
	"syscall"
)

func credential() (*syscall.SysProcAttr, error) {
	return nil, errors.New("these tests run on Unix only")
}

func ownGroup(attr *syscall.SysProcAttr) *syscall.SysProcAttr { return attr }

func giveTo(string, *syscall.SysProcAttr) error { return nil }
