import { Tokentail } from "tokentail";

export const url = "http://127.0.0.1:8000"; // it allows this page's origin by TOKENTAIL_CORS_ORIGINS
export const client = new Tokentail({ url });
