package delivery

// Outcome is what an attempt came to.
type Outcome string
