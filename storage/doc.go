// Package storage keeps webhooks, events and deliveries in a database.
package storage
