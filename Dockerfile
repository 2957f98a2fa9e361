# Serves the ensemble in a folder of runs on port 8000; docs/serving.md says how.
#
#   docker build -t mlob .
#   docker run --rm -p 8000:8000 -v "$PWD/runs/photos:/runs:ro" mlob
FROM python:3.12-slim

WORKDIR /tmp/mlob
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY mlob mlob
RUN pip install --no-cache-dir ".[serve]" && rm -rf /tmp/mlob

RUN useradd --create-home mlob
USER mlob
WORKDIR /home/mlob

EXPOSE 8000
HEALTHCHECK --start-period=2m CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health')"]
ENTRYPOINT ["mlob", "serve", "--host", "0.0.0.0"]
CMD ["/runs"]
