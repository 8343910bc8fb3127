CREATE TABLE shipments (
	order_id text PRIMARY KEY,
	items    jsonb NOT NULL -- quantities by product
);
