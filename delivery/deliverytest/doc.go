// Package deliverytest holds every delivery.Queue to its contract, and has one in memory.
package deliverytest
